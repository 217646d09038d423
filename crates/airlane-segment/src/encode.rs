//! A record batch to the pieces of an IPC message: metadata, and a body of aligned buffers that mostly point into the
//! batch.
