from smtplib import SMTP


def test_mail_goes_to_the_usual_port():
    assert SMTP.default_port == 25
