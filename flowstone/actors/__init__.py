"""The actor core: typed messages, mailboxes, references and OTP-style supervisors; it knows nothing of assets."""
