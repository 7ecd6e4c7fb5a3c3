//! The audit trail: what is recorded of a call, and what happens if it cannot be recorded.

mod after_commit;
mod chain_state;
mod events;
mod failed_calls;
mod trail_files;
