//! A control connection driven by tokio
