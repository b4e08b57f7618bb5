"""Names that the sidecar and the control plane share: the resource types of Envoy's v3 API."""

_PREFIX = "type.googleapis.com/envoy."

BOOTSTRAP = _PREFIX + "config.bootstrap.v3.Bootstrap"
CLUSTER = _PREFIX + "config.cluster.v3.Cluster"
ENDPOINT = _PREFIX + "config.endpoint.v3.ClusterLoadAssignment"
EXTENSION = _PREFIX + "config.core.v3.TypedExtensionConfig"
LISTENER = _PREFIX + "config.listener.v3.Listener"
ROUTE = _PREFIX + "config.route.v3.RouteConfiguration"
SECRET = _PREFIX + "extensions.transport_sockets.tls.v3.Secret"

#: The order in which an update is applied: what is referred to comes before what refers to it
#: (make before break).
ORDER = (SECRET, CLUSTER, ENDPOINT, EXTENSION, LISTENER, ROUTE)
