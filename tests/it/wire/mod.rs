//! The protocol of AWS KMS.

mod aws_model;
