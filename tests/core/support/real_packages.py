"""Uses of real packages that fail if a package was executed twice, or only half of it."""

from __future__ import annotations

import sys
from typing import Any


def use_csv() -> Any:
    import csv
    import io

    assert list(csv.reader(io.StringIO("a,b"))) == [["a", "b"]]
    assert csv.Dialect in csv.excel.__mro__
    return csv


def use_numpy() -> Any:
    import numpy
    import numpy.linalg

    assert numpy.linalg.det(numpy.eye(3)) == 1.0
    assert (numpy.arange(6).reshape(2, 3) @ numpy.ones(3)).tolist() == [3.0, 12.0]
    assert numpy.random.default_rng(1).random() < 1
    return numpy


def use_pandas() -> Any:
    import pandas

    frame = pandas.DataFrame({"key": ["a", "b", "a"], "value": [1, 2, 3]})
    assert frame.groupby("key").value.sum().to_dict() == {"a": 4, "b": 2}
    assert pandas.to_datetime("2024-02-29").day == 29
    return pandas


def use_pydantic() -> Any:
    import pydantic

    class Item(pydantic.BaseModel):
        name: str
        price: float = 0.0

    assert Item.model_validate({"name": "x", "price": "1.5"}).price == 1.5
    try:
        Item(price="cheap")  # type: ignore[call-arg, arg-type]
    except pydantic.ValidationError as error:
        refused = error.error_count()
    assert refused == 2
    return pydantic


def use_yaml() -> Any:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    assert yaml.load("{a: [1, 2]}", Loader=loader) == {"a": [1, 2]}
    assert yaml.safe_load(yaml.safe_dump({"b": None})) == {"b": None}
    try:
        yaml.load("[", Loader=loader)
    except yaml.YAMLError:
        pass
    return yaml


def use_sqlalchemy() -> Any:
    import sqlalchemy
    from sqlalchemy import orm

    class Base(orm.DeclarativeBase):
        pass

    class User(Base):
        __tablename__ = "user"
        id = orm.mapped_column(sqlalchemy.Integer, primary_key=True)
        name = orm.mapped_column(sqlalchemy.String)

    engine = sqlalchemy.create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with orm.Session(engine) as session:
        session.add(User(name="one"))
        session.commit()
        assert session.scalars(sqlalchemy.select(User.name)).all() == ["one"]
    engine.dispose()
    return sqlalchemy


def use_cryptography() -> Any:
    import cryptography
    from cryptography.fernet import Fernet, InvalidToken

    key = Fernet(Fernet.generate_key())
    assert key.decrypt(key.encrypt(b"secret")) == b"secret"
    try:
        key.decrypt(b"nonsense")
    except InvalidToken:
        pass
    return cryptography


def use_orjson() -> Any:
    import orjson

    assert orjson.loads(orjson.dumps({"a": [1, None]})) == {"a": [1, None]}
    try:
        orjson.loads(b"{")
    except orjson.JSONDecodeError:
        pass
    return orjson


def use_lxml() -> Any:
    from lxml import etree

    assert etree.fromstring("<a><b>1</b></a>").findtext("b") == "1"
    try:
        etree.fromstring("<a>")
    except etree.XMLSyntaxError:
        pass
    return etree


def use_protobuf() -> Any:
    from google.protobuf import descriptor_pb2, text_format

    message = descriptor_pb2.FileDescriptorProto(name="x")
    assert descriptor_pb2.FileDescriptorProto.FromString(message.SerializeToString()).name == "x"
    assert text_format.MessageToString(message) == 'name: "x"\n'
    return descriptor_pb2


def use_six() -> Any:
    import six
    from six.moves import configparser, urllib
    from six.moves.urllib.parse import quote

    assert quote("a b") == urllib.parse.quote("a b") == "a%20b"
    assert configparser.ConfigParser
    assert any(type(finder).__name__ == "_SixMetaPathImporter" for finder in sys.meta_path)
    return six


def use_setuptools() -> Any:
    import setuptools

    assert setuptools.find_packages("/nowhere-at-all") == []
    assert setuptools.Distribution({"name": "x"}).get_name() == "x"
    return setuptools


USES = {
    name.removeprefix("use_"): function
    for name, function in list(globals().items())
    if name.startswith("use_")
}
