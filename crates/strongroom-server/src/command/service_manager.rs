//! Messages to the service manager: systemd, if it started the process with `Type=notify`.

use sd_notify::NotifyState;

/// Reports that the server accepts connections.
pub(super) fn ready() {
    notify(&[NotifyState::Ready]);
}

/// Reports that the server stops.
pub(super) fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// Without `NOTIFY_SOCKET`, this does nothing.
fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(error = %error, "cannot notify the service manager");
    }
}
