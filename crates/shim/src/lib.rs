//! The keeper of one service's processes, sockets and logs
