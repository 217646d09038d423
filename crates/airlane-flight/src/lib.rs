//! Arrow Flight: tickets, descriptors, actions and the low-copy DoGet and DoPut bodies
