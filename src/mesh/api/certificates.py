"""The messages of `istio.v1.auth.IstioCertificateService`, which no package on PyPI carries.

Needs protobuf, so `mesh.api` itself does not import it.

Field numbers are the protocol's (istio/api, security/v1alpha1/ca.proto).
"""

from __future__ import annotations

from google.protobuf import struct_pb2
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import Default
from google.protobuf.message_factory import GetMessageClass

SERVICE = "istio.v1.auth.IstioCertificateService"

_STRING, _INT64 = FieldDescriptorProto.TYPE_STRING, FieldDescriptorProto.TYPE_INT64
_MESSAGE = FieldDescriptorProto.TYPE_MESSAGE
_ONE, _MANY = FieldDescriptorProto.LABEL_OPTIONAL, FieldDescriptorProto.LABEL_REPEATED


def _file() -> FileDescriptorProto:
    file = FileDescriptorProto(
        name="fastmesh/istio_ca.proto",
        package="istio.v1.auth",
        syntax="proto3",
        dependency=[struct_pb2.DESCRIPTOR.name],
    )
    request = file.message_type.add(name="IstioCertificateRequest")
    request.field.add(name="csr", number=1, type=_STRING, label=_ONE)
    request.field.add(name="validity_duration", number=3, type=_INT64, label=_ONE)
    request.field.add(
        name="metadata", number=4, type=_MESSAGE, label=_ONE, type_name=".google.protobuf.Struct"
    )
    response = file.message_type.add(name="IstioCertificateResponse")
    response.field.add(name="cert_chain", number=1, type=_STRING, label=_MANY)
    return file


_POOL = Default()
_POOL.Add(_file())
Request = GetMessageClass(_POOL.FindMessageTypeByName("istio.v1.auth.IstioCertificateRequest"))
Response = GetMessageClass(_POOL.FindMessageTypeByName("istio.v1.auth.IstioCertificateResponse"))
