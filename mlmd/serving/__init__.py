"""A store that is served: the door and its tokens, gRPC and HTTP that listen and drain, who read what."""
