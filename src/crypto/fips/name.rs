//! The name of the module in reports.

pub(super) const MODULE: &str = "AWS-LC FIPS module";
