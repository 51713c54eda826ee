"""The one load balancer, as its controller would build it from all Ingresses of a cluster."""
