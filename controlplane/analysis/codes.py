"""What can be found: Istio's codes, levels and names, and our words."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Level(IntEnum):
    """How bad it is; the least number is the worst."""

    ERROR = 0
    WARNING = 1
    INFO = 2

    @property
    def label(self) -> str:
        return self.name.capitalize()


@dataclass(frozen=True, slots=True)
class Code:
    code: str
    name: str
    level: Level
    #: With `{names}` that a finding fills in.
    text: str

    @property
    def url(self) -> str:
        """Where Istio explains it."""
        page = self.code.lower()
        return f"https://istio.io/latest/docs/reference/config/analysis/{page}/"


_E, _W, _I = Level.ERROR, Level.WARNING, Level.INFO

INTERNAL_ERROR = Code("IST0001", "InternalError", _E, "Internal error: {detail}")
DEPRECATED = Code("IST0002", "Deprecated", _W, "Deprecated: {detail}")
REFERENCED_RESOURCE_NOT_FOUND = Code(
    "IST0101", "ReferencedResourceNotFound", _E, 'Referenced {what} not found: "{name}"{hint}'
)
NAMESPACE_NOT_INJECTED = Code(
    "IST0102",
    "NamespaceNotInjected",
    _I,
    "No sidecars are injected into this namespace. Label {namespace} istio-injection=enabled to "
    "have them, or istio-injection=disabled to say that it needs none.",
)
SCHEMA_VALIDATION_ERROR = Code(
    "IST0106", "SchemaValidationError", _E, "Schema validation error: {problem}"
)
MISPLACED_ANNOTATION = Code(
    "IST0107", "MisplacedAnnotation", _W, "Misplaced annotation: {annotation} is for {kinds} only"
)
UNKNOWN_ANNOTATION = Code("IST0108", "UnknownAnnotation", _W, "Unknown annotation: {annotation}")
CONFLICTING_MESH_GATEWAY_HOSTS = Code(
    "IST0109",
    "ConflictingMeshGatewayVirtualServiceHosts",
    _E,
    "The VirtualServices {names} of the mesh gateway have the host {host} in common; which of "
    "them holds is not defined. Merge them into one.",
)
CONFLICTING_SIDECAR_SELECTORS = Code(
    "IST0110",
    "ConflictingSidecarWorkloadSelectors",
    _E,
    "The Sidecars {names} in namespace {namespace} select the same workload {workload}; which of "
    "them holds is not defined.",
)
MULTIPLE_SIDECARS_WITHOUT_SELECTORS = Code(
    "IST0111",
    "MultipleSidecarsWithoutWorkloadSelectors",
    _E,
    "The Sidecars {names} in namespace {namespace} have no workload selector; which of them holds "
    "is not defined.",
)
DESTINATION_PORT_REQUIRED = Code(
    "IST0112",
    "VirtualServiceDestinationPortSelectorRequired",
    _E,
    "The service {host} has several ports: {ports}. Say which in the destination's port.number.",
)
DEPLOYMENT_IN_SERVICES_OF_OTHER_PROTOCOLS = Code(
    "IST0116",
    "DeploymentAssociatedToMultipleServices",
    _W,
    "The deployment {deployment} belongs to several services whose port {port} has different "
    "protocols: {services}",
)
PORT_NAME_CONVENTION = Code(
    "IST0118",
    "PortNameIsNotUnderNamingConvention",
    _I,
    "The name of port {port} (target port {target}), {name}, does not begin with a protocol, so "
    "that the protocol is guessed. Write PROTOCOL[-SUFFIX], or appProtocol.",
)
MULTIPLE_INJECTION_LABELS = Code(
    "IST0123",
    "NamespaceMultipleInjectionLabels",
    _W,
    "The namespace has more than one label about injection: {labels}. Keep one of them.",
)
INVALID_ANNOTATION = Code(
    "IST0125", "InvalidAnnotation", _W, "Invalid annotation {annotation}: {problem}"
)
UNKNOWN_SERVICE_REGISTRY = Code(
    "IST0126",
    "UnknownMeshNetworksServiceRegistry",
    _E,
    "Unknown service registry {registry} in network {network}",
)
NO_MATCHING_WORKLOADS = Code(
    "IST0127",
    "NoMatchingWorkloadsFound",
    _W,
    "No workload matches this resource, which has the labels: {labels}",
)
NO_SERVER_VERIFICATION = Code(
    "IST0128",
    "NoServerCertificateVerificationDestinationLevel",
    _W,
    "The DestinationRule {name} in namespace {namespace} has TLS mode {mode} and no "
    "caCertificates: who answers for host {host} is not verified",
)
NO_SERVER_VERIFICATION_PORT = Code(
    "IST0129",
    "NoServerCertificateVerificationPortLevel",
    _W,
    "The DestinationRule {name} in namespace {namespace} has TLS mode {mode} and no "
    "caCertificates: who answers for host {host} at port {port} is not verified",
)
UNREACHABLE_RULE = Code("IST0130", "VirtualServiceUnreachableRule", _W, "The rule {rule} {reason}.")
INEFFECTIVE_MATCH = Code(
    "IST0131", "VirtualServiceIneffectiveMatch", _I, "The match {match} {reason}."
)
HOST_NOT_FOUND_IN_GATEWAY = Code(
    "IST0132",
    "VirtualServiceHostNotFoundInGateway",
    _W,
    "None of the hosts {hosts} of the VirtualService {name} is among those of the Gateway "
    "{gateway}.",
)
SCHEMA_WARNING = Code("IST0133", "SchemaWarning", _W, "Schema validation warning: {problem}")
SERVICE_ENTRY_ADDRESSES_REQUIRED = Code(
    "IST0134",
    "ServiceEntryAddressesRequired",
    _W,
    "A ServiceEntry needs addresses for this protocol: TCP says no host name.",
)
DEPRECATED_ANNOTATION = Code(
    "IST0135",
    "DeprecatedAnnotation",
    _I,
    "The annotation {annotation} is deprecated{instead}; a later version may not have it.",
)
ALPHA_ANNOTATION = Code(
    "IST0136",
    "AlphaAnnotation",
    _I,
    "The annotation {annotation} belongs to a feature in its alpha phase.",
)
DEPLOYMENT_CONFLICTING_PORTS = Code(
    "IST0137",
    "DeploymentConflictingPorts",
    _W,
    "The deployment {deployment} belongs to the services {services}, which reach its port "
    "{target} by different ports: {ports}.",
)
DUPLICATE_CERTIFICATE = Code(
    "IST0138",
    "GatewayDuplicateCertificate",
    _W,
    "The gateways {gateways} have the same certificate; clients that use one HTTP/2 connection "
    "for both may get 404.",
)
INVALID_WEBHOOK = Code("IST0139", "InvalidWebhook", _E, "{problem}")
INGRESS_ROUTE_RULES_NOT_AFFECTED = Code(
    "IST0140",
    "IngressRouteRulesNotAffected",
    _W,
    "The subset in virtual service {mesh} has no effect on requests by the gateway, which follow "
    "{gateway}.",
)
INVALID_APPLICATION_UID = Code(
    "IST0144",
    "InvalidApplicationUID",
    _W,
    "The user ID 1337 is the sidecar's own; what runs as it is not intercepted.",
)
CONFLICTING_GATEWAYS = Code(
    "IST0145",
    "ConflictingGateways",
    _E,
    "Conflict with gateways {gateways} (workload selector {selector}, port {port}, hosts {hosts}).",
)
IMAGE_AUTO_WARNING = Code(
    "IST0146",
    "ImageAutoWithoutInjectionWarning",
    _W,
    "The {kind} {name} has `image: auto`, and no injection webhook selects it.",
)
IMAGE_AUTO_ERROR = Code(
    "IST0147",
    "ImageAutoWithoutInjectionError",
    _E,
    "The {kind} {name} has `image: auto`, and no injection webhook selects it.",
)
INJECTION_BY_DEFAULT = Code(
    "IST0148",
    "NamespaceInjectionEnabledByDefault",
    _I,
    "Sidecars are injected into this namespace, because enableNamespacesByDefault is true.",
)
JWT_ROUTE_WITHOUT_AUTHENTICATION = Code(
    "IST0149",
    "JwtClaimBasedRoutingWithoutRequestAuthN",
    _E,
    "The virtual service routes by a JWT claim ({claim}), and no RequestAuthentication is for the "
    "gateway {gateway} (workload {workload}), so that there are no claims. Apply one.",
)
EXTERNAL_NAME_PORT = Code(
    "IST0150",
    "ExternalNameServiceTypeInvalidPortName",
    _W,
    "The port's name is not valid for an ExternalName service: traffic of the port may not be "
    "forwarded as it should",
)
RELATIVE_OPERATION = Code(
    "IST0151",
    "EnvoyFilterUsesRelativeOperation",
    _W,
    "This patch depends on what other EnvoyFilters do, and the EnvoyFilter has no priority. Set "
    "one, or use INSERT_FIRST or ADD.",
)
WRONG_REPLACE = Code(
    "IST0152",
    "EnvoyFilterUsesReplaceOperationIncorrectly",
    _E,
    "REPLACE works for HTTP_FILTER, NETWORK_FILTER and VIRTUAL_HOST only.",
)
WRONG_ADD = Code(
    "IST0153",
    "EnvoyFilterUsesAddOperationIncorrectly",
    _E,
    "ADD has no effect with applyTo ROUTE_CONFIGURATION and HTTP_ROUTE.",
)
WRONG_REMOVE = Code(
    "IST0154",
    "EnvoyFilterUsesRemoveOperationIncorrectly",
    _E,
    "REMOVE has no effect with applyTo ROUTE_CONFIGURATION and HTTP_ROUTE.",
)
RELATIVE_OPERATION_WITH_VERSION = Code(
    "IST0155",
    "EnvoyFilterUsesRelativeOperationWithProxyVersion",
    _W,
    "This patch depends on another one that is for some versions of the proxy only, and the "
    "EnvoyFilter has no priority; an upgrade may turn it off. Set one, or use INSERT_FIRST or ADD.",
)
TELEMETRY_WITHOUT_PROVIDER = Code(
    "IST0157",
    "InvalidTelemetryProvider",
    _W,
    "The Telemetry {name} in namespace {namespace} has no providers and so no effect.",
)
CONFLICTING_TELEMETRY_SELECTORS = Code(
    "IST0159",
    "ConflictingTelemetryWorkloadSelectors",
    _E,
    "The Telemetries {names} in namespace {namespace} select the same workload {workload}; which "
    "of them holds is not defined.",
)
MULTIPLE_TELEMETRIES_WITHOUT_SELECTORS = Code(
    "IST0160",
    "MultipleTelemetriesWithoutWorkloadSelectors",
    _E,
    "The Telemetries {names} in namespace {namespace} have no workload selector; which of them "
    "holds is not defined.",
)
INVALID_GATEWAY_CREDENTIAL = Code(
    "IST0161",
    "InvalidGatewayCredential",
    _E,
    "The credential of the Gateway {name}, a secret in namespace {namespace}, is not valid: "
    "{problem}.",
)
GATEWAY_PORT_NOT_ON_SERVICE = Code(
    "IST0162",
    "GatewayPortNotDefinedOnService",
    _W,
    "No service of the gateway's workloads ({selector}) has the target port {port}: it cannot be "
    "reached by a service.",
)
INVALID_EXTERNAL_CONTROL_PLANE = Code(
    "IST0163",
    "InvalidExternalControlPlaneConfig",
    _W,
    "The address {address} by which the webhook {webhook} reaches the external control plane "
    "{problem}.",
)
EXTERNAL_CONTROL_PLANE_IS_NO_HOST = Code(
    "IST0164",
    "ExternalControlPlaneAddressIsNotAHostname",
    _I,
    "The address {address} by which the webhook {webhook} reaches the external control plane is "
    "an IP address; in production it should be a name.",
)
INTERNAL_GATEWAY = Code(
    "IST0165",
    "ReferencedInternalGateway",
    _W,
    "The VirtualService {name} refers to the Gateway {gateway}, which the implementation makes "
    "for itself.",
)
INEFFECTIVE_SELECTOR = Code(
    "IST0166",
    "IneffectiveSelector",
    _W,
    "The selector has no effect on the Kubernetes Gateway {gateway}; use targetRefs.",
)
INEFFECTIVE_POLICY = Code("IST0167", "IneffectivePolicy", _W, "The policy has no effect: {reason}.")
SUBSET_WITHOUT_WORKLOADS = Code(
    "IST0173",
    "DestinationRuleSubsetNotSelectPods",
    _E,
    "The subset {subset} selects no workload; requests to it get 503 UH.",
)
UNKNOWN_DESTINATION_RULE_HOST = Code(
    "IST0174",
    "UnknownDestinationRuleHost",
    _W,
    "The host {host} of the DestinationRule is no service of the mesh.",
)
JWKS_FETCH_UNRESTRICTED = Code(
    "IST0175",
    "JwksUriFetchUnrestricted",
    _W,
    "BLOCKED_CIDRS_IN_JWKS_URIS is not set, so that the keys of RequestAuthentications ({count}: "
    "{names}) may be fetched from anywhere. Set it to the networks that are not meant.",
)
CONFLICTING_SERVICE_ENTRY_PROTOCOL = Code(
    "IST0177",
    "ConflictingServiceEntryProtocol",
    _W,
    "The ServiceEntries {names} have the host {host} and port {port} in common, with different "
    "protocols: {protocols}.",
)

ALL: tuple[Code, ...] = tuple(
    sorted(
        (value for value in globals().values() if isinstance(value, Code)),
        key=lambda one: one.code,
    )
)
