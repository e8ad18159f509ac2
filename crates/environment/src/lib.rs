//! Constructs and explains one environment; seals secrets
