//! Configuration and secrets by name, with versions, labels and policies: a parameter store in the
//! manner of AWS Systems Manager, in the same [`KeyStore`](crate::store::KeyStore) as the keys.
//!
//! [`Parameters`] is the handle. Names form a hierarchy (`/shop/db/password`), every change creates a
//! version, and a [`SecureString`](ParameterType::SecureString) is encrypted under a KMS key. The page
//! [`parameters`](crate::manual::parameters) of the manual is the introduction.
//!
//! | topic | operations |
//! |---|---|
//! | write | [`put`](Parameters::put), [`delete`](Parameters::delete), [`delete_all`](Parameters::delete_all) |
//! | read | [`get`](Parameters::get), [`get_as`](Parameters::get_as), [`get_all`](Parameters::get_all), [`by_path`](Parameters::by_path) |
//! | look up | [`describe`](Parameters::describe), [`history`](Parameters::history) |
//! | labels, tags | [`label`](Parameters::label), [`unlabel`](Parameters::unlabel), [`add_tags`](Parameters::add_tags), [`remove_tags`](Parameters::remove_tags), [`list_tags`](Parameters::list_tags) |
//! | upkeep | [`run_maintenance`](Parameters::run_maintenance) |
//!
//! # Examples
//! ```
//! use strongroom::Kms;
//! use strongroom::parameters::{Parameters, PutParameterRequest};
//!
//! let parameters = Parameters::new(&Kms::in_memory()?);
//! parameters.put(PutParameterRequest::string("/shop/db/host", "db.example"))?;
//! parameters.put(PutParameterRequest::secure_string("/shop/db/password", "correct horse"))?;
//! assert_eq!(parameters.get("/shop/db/password")?.expose_value(), "correct horse");
//! # Ok::<(), strongroom::Error>(())
//! ```
//!
//! # Parts
//!
//! A file uses only files in the rows below its own.
//!
//! | row | file | contains |
//! |---|---|---|
//! | 8 | `maintenance` | expiration |
//! | 7 | `delete`, `labels`, `list`, `tags` | the other operations |
//! | 6 | `get`, `put` | reading and writing by name |
//! | 5 | `handle` | the handle, and what all operations share |
//! | 4 | `request` | requests |
//! | 4 | `fuzzing` | entry points for the fuzz targets |
//! | 4 | `cipher`, `filter`, `response` | encryption of values; filters; responses |
//! | 3 | `record`, `value` | the layout of records; the rules for values |
//! | 2 | `name`, `policies`, `token` | names and paths; policies; tokens of pages |
//! | 1 | `error` | errors |
//! | 1 | `kinds` | types and tiers |

mod cipher;
mod delete;
mod error;
mod filter;
pub(crate) mod fuzzing;
mod get;
mod handle;
mod kinds;
mod labels;
mod list;
mod maintenance;
mod name;
mod policies;
mod put;
mod record;
mod request;
mod response;
mod tags;
mod token;
mod value;

pub use error::ParameterError;
pub use filter::ParameterFilter;
pub use handle::Parameters;
pub use kinds::{ParameterTier, ParameterType};
pub use request::{
    DescribeParametersRequest, GetParameterHistoryRequest, GetParametersByPathRequest, PutParameterRequest,
    SecureStringForm,
};
pub use response::{
    DeleteParametersResponse, GetParametersResponse, LabelParameterVersionResponse, Parameter, ParameterHistoryEntry,
    ParameterInlinePolicy, ParameterMaintenanceReport, ParameterMetadata, PutParameterResponse,
    UnlabelParameterVersionResponse,
};
