//! One app on one node: a pure planner and its executor
