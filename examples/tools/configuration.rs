//! Reads the configuration of a program from parameters, with the crates `config` and `figment`.
//!
//! ```text
//! cargo run --example configuration
//! ```
//!
//! The source returns the parameters below a path. Their names become nested tables:
//! `/shop/database/password` is `database.password` for the path `/shop`.

use std::error::Error;

use serde::Deserialize;
use strongroom::Kms;
use strongroom::parameters::{GetParametersByPathRequest, Parameters, PutParameterRequest};

/// The parameters below a path.
#[derive(Clone, Debug)]
struct ParameterSource {
    parameters: Parameters,
    path: String,
}

impl ParameterSource {
    /// Returns the names below the path, in parts, with their values.
    fn entries(&self) -> strongroom::Result<Vec<(Vec<String>, String)>> {
        let (mut entries, mut token) = (Vec::new(), None);
        loop {
            let mut request = GetParametersByPathRequest::new(self.path.as_str()).recursive();
            if let Some(token) = token {
                request = request.next_token(token);
            }
            let page = self.parameters.by_path(request)?;
            for parameter in &page.entries {
                let below = parameter.name().strip_prefix(&self.path).unwrap_or(parameter.name());
                let parts = below.trim_start_matches('/').split('/').map(str::to_owned).collect();
                entries.push((parts, parameter.expose_value().to_owned()));
            }
            token = page.next_marker;
            if token.is_none() {
                return Ok(entries);
            }
        }
    }
}

impl config::Source for ParameterSource {
    fn clone_into_box(&self) -> Box<dyn config::Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<config::Map<String, config::Value>, config::ConfigError> {
        let entries = self.entries().map_err(|error| config::ConfigError::Foreign(error.into()))?;
        // `config` itself makes tables of names with points.
        Ok(entries.into_iter().map(|(parts, value)| (parts.join("."), value.into())).collect())
    }
}

impl figment::Provider for ParameterSource {
    fn metadata(&self) -> figment::Metadata {
        figment::Metadata::named(format!("the parameters below {}", self.path))
    }

    fn data(&self) -> Result<figment::value::Map<figment::Profile, figment::value::Dict>, figment::Error> {
        let mut data = figment::value::Dict::new();
        for (parts, value) in self.entries().map_err(|error| figment::Error::from(error.to_string()))? {
            insert(&mut data, &parts, value);
        }
        Ok(figment::value::Map::from([(figment::Profile::Default, data)]))
    }
}

/// Inserts a value into nested tables.
fn insert(table: &mut figment::value::Dict, parts: &[String], value: String) {
    match parts {
        [] => {}
        [name] => _ = table.insert(name.clone(), value.into()),
        [name, rest @ ..] => {
            let empty = figment::value::Value::from(figment::value::Dict::new());
            if let figment::value::Value::Dict(_, inner) = table.entry(name.clone()).or_insert(empty) {
                insert(inner, rest, value);
            }
        }
    }
}

/// The configuration of a shop.
#[derive(Debug, Deserialize, PartialEq)]
struct Configuration {
    url: String,
    database: Database,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Database {
    host: String,
    password: String,
}

fn main() -> Result<(), Box<dyn Error>> {
    let parameters = Parameters::new(&Kms::in_memory()?);
    parameters.put(PutParameterRequest::string("/shop/url", "https://shop.example"))?;
    parameters.put(PutParameterRequest::string("/shop/database/host", "db.example"))?;
    parameters.put(PutParameterRequest::secure_string("/shop/database/password", "correct horse"))?;
    let source = ParameterSource { parameters, path: "/shop".to_owned() };

    let by_config: Configuration = config::Config::builder().add_source(source.clone()).build()?.try_deserialize()?;
    let by_figment: Configuration = figment::Figment::from(source).extract()?;
    assert_eq!(by_config, by_figment);
    assert_eq!(by_config.database.password, "correct horse");
    println!("{} uses the database {}", by_config.url, by_config.database.host);
    Ok(())
}
