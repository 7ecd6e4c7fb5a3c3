//! The audit trail: the events recorded for a call, and failures to record them.

mod after_commit;
mod ambiguous_commits;
mod chain_state;
mod events;
mod failed_calls;
mod trail_files;
