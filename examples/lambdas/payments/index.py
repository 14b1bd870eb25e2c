def handler(event):
    return "payment"
