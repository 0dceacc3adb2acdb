"""Records of ArrayRecord files that hold a ``tf.train.Example``, as TensorFlow Datasets writes them."""

from __future__ import annotations

from functools import cache
from typing import Any


@cache
def _example() -> Any:
    """The class of the message, by its description: TensorFlow itself is not needed.

    Source: tensorflow/core/example/feature.proto and example.proto.
    """
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="example.proto", package="dlnotes", syntax="proto3")

    def message(name: str, within: Any = None) -> Any:
        return (file.message_type if within is None else within.nested_type).add(name=name)

    def add(to: Any, name: str, number: int, kind: Any, type_name: str = "", many: bool = False) -> Any:
        label = kinds.LABEL_REPEATED if many else kinds.LABEL_OPTIONAL
        return to.field.add(name=name, number=number, type=kind, label=label, type_name=type_name or None)

    for name, kind in (
        ("BytesList", kinds.TYPE_BYTES),
        ("FloatList", kinds.TYPE_FLOAT),
        ("Int64List", kinds.TYPE_INT64),
    ):
        add(message(name), "value", 1, kind, many=True)
    feature = message("Feature")
    feature.oneof_decl.add(name="kind")
    lists = ("bytes_list", ".dlnotes.BytesList"), ("float_list", ".dlnotes.FloatList")
    for number, (name, type_name) in enumerate((*lists, ("int64_list", ".dlnotes.Int64List")), 1):
        add(feature, name, number, kinds.TYPE_MESSAGE, type_name).oneof_index = 0
    features = message("Features")
    entry = message("FeatureEntry", features)
    entry.options.map_entry = True
    add(entry, "key", 1, kinds.TYPE_STRING)
    add(entry, "value", 2, kinds.TYPE_MESSAGE, ".dlnotes.Feature")
    add(features, "feature", 1, kinds.TYPE_MESSAGE, ".dlnotes.Features.FeatureEntry", many=True)
    add(message("Example"), "features", 1, kinds.TYPE_MESSAGE, ".dlnotes.Features")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("dlnotes.Example"))


def features_of(record: bytes) -> dict[str, list[Any]]:
    """The features of a record by name: bytes, floats or whole numbers.

    Raises:
      ValueError: when it is no ``tf.train.Example``.
    """
    from google.protobuf.message import DecodeError

    try:
        found = _example().FromString(record)
    except DecodeError as error:
        raise ValueError(f"is no tf.train.Example ({error})") from None
    kinds = ((name, feature, feature.WhichOneof("kind")) for name, feature in found.features.feature.items())
    return {name: list(getattr(feature, kind).value) if kind else [] for name, feature, kind in kinds}
