//! This package consists of the tests and benchmarks of the feature `object_store`.
