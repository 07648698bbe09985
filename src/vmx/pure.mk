# Nothing here is built for the host.
