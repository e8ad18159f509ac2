//! The log record format, its writer and its reader
