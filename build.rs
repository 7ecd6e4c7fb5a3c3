//! States whether `aws-lc-rs` has a stable interface for ML-DSA: it does since version 1.18.
//!
//! Version 1.17, the only one with a certified FIPS module, does not. Cargo passes on what the build
//! script of `aws-lc-rs` exports, in environment variables whose names contain its version.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(aws_lc_ml_dsa)");
    let is_old =
        std::env::vars_os().any(|(name, _)| name.to_str().is_some_and(|name| name.starts_with("DEP_AWS_LC_RS_1_17_")));
    if !is_old {
        println!("cargo::rustc-cfg=aws_lc_ml_dsa");
    }
}
