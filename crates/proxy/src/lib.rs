//! The node's HTTP edge: routes, retries, holds, acknowledges
