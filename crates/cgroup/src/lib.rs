//! One cgroup leaf per start of a slot: find, create, list, kill, watch
