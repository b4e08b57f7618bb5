"""`mesh bench control`: what a thousand connected sidecars cost the control plane."""
