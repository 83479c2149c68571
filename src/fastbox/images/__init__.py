"""Images: references, archives, manifests and configurations, on the store."""
