//! Packets, read and written without panicking whatever the bytes are.
