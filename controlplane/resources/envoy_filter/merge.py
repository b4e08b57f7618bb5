"""Merging one message into another as patches mean it.

Protobuf's rule (fields that are set replace, lists grow, messages merge), with two additions: what
is in an `Any` of the same type is merged too, and MERGE_AND_REPLACE_LIST replaces lists.
"""

from __future__ import annotations

from typing import Any

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.descriptor_pool import Default
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass


def merge(into: Message, patch: Message, *, replace_lists: bool = False) -> None:
    """Changes `into`."""
    for field, value in patch.ListFields():
        if field.is_repeated:
            _merge_repeated(into, field, value, replace_lists=replace_lists)
        elif field.type != FieldDescriptor.TYPE_MESSAGE:
            setattr(into, field.name, value)
        elif _name(field) == "google.protobuf.Any":
            _merge_any(getattr(into, field.name), value, replace_lists=replace_lists)
        elif into.HasField(field.name) and not _is_leaf(field):
            merge(getattr(into, field.name), value, replace_lists=replace_lists)
        else:
            getattr(into, field.name).CopyFrom(value)


def unpack(packed: AnyMessage) -> Message | None:
    """What is in an Any; None for a type that nobody knows."""
    try:
        descriptor = Default().FindMessageTypeByName(packed.TypeName())
    except KeyError:
        return None
    found: Message = GetMessageClass(descriptor)()
    packed.Unpack(found)
    return found


def pack(message: Message) -> AnyMessage:
    """An Any with equal bytes for equal messages."""
    url = f"type.googleapis.com/{message.DESCRIPTOR.full_name}"
    return AnyMessage(type_url=url, value=message.SerializeToString(deterministic=True))


def _merge_repeated(into: Message, field: Any, value: Any, *, replace_lists: bool) -> None:
    target = getattr(into, field.name)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        if field.message_type.fields_by_name["value"].message_type is None:
            target.update(value)
        else:
            for key, one in value.items():
                target[key].CopyFrom(one)
        return
    if replace_lists:
        into.ClearField(field.name)
    target.extend(value)


def _merge_any(into: AnyMessage, patch: AnyMessage, *, replace_lists: bool) -> None:
    held, given = unpack(into), unpack(patch)
    if into.type_url != patch.type_url or held is None or given is None:
        into.CopyFrom(patch)
        return
    merge(held, given, replace_lists=replace_lists)
    into.CopyFrom(pack(held))


def _is_leaf(field: FieldDescriptor) -> bool:
    """Messages that are one value: a duration is replaced, not merged second by second."""
    name = _name(field)
    return name.startswith("google.protobuf.") and name != "google.protobuf.Struct"


def _name(field: FieldDescriptor) -> str:
    return field.message_type.full_name if field.message_type else ""
