"""The message of Istio's name discovery (NDS), which no package on PyPI carries.

Needs protobuf, so `mesh.api` itself does not import it.

Field numbers are the protocol's (istio/istio, pkg/dns/proto/nds.proto).
"""

from __future__ import annotations

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import Default
from google.protobuf.message_factory import GetMessageClass

_PACKAGE = "istio.networking.nds.v1"
TYPE_URL = f"type.googleapis.com/{_PACKAGE}.NameTable"

_STRING, _MESSAGE = FieldDescriptorProto.TYPE_STRING, FieldDescriptorProto.TYPE_MESSAGE
_ONE, _MANY = FieldDescriptorProto.LABEL_OPTIONAL, FieldDescriptorProto.LABEL_REPEATED


def _file() -> FileDescriptorProto:
    file = FileDescriptorProto(name="fastmesh/nds.proto", package=_PACKAGE, syntax="proto3")
    table = file.message_type.add(name="NameTable")
    info = table.nested_type.add(name="NameInfo")
    info.field.add(name="ips", number=1, type=_STRING, label=_MANY)
    for number, name in enumerate(("registry", "shortname", "namespace"), 2):
        info.field.add(name=name, number=number, type=_STRING, label=_ONE)
    # A map is a repeated message of this shape.
    entry = table.nested_type.add(name="TableEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=_STRING, label=_ONE)
    kind = f".{_PACKAGE}.NameTable."
    entry.field.add(name="value", number=2, type=_MESSAGE, label=_ONE, type_name=f"{kind}NameInfo")
    table.field.add(
        name="table", number=1, type=_MESSAGE, label=_MANY, type_name=f"{kind}TableEntry"
    )
    return file


_POOL = Default()
_POOL.Add(_file())
NameTable = GetMessageClass(_POOL.FindMessageTypeByName(f"{_PACKAGE}.NameTable"))
