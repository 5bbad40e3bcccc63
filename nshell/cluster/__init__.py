"""What the session needs of a Kubernetes cluster."""
