//! One broker session: connect, TLS and its reload, subscribe, acknowledge.
