"""Envoy's discovery protocol over gRPC: who is connected, what they hold, what they answered."""
