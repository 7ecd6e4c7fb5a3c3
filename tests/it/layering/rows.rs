//! The rows of the crate: one table for its modules, and one for each large module.

use super::analysis::{Edge, Kind, Tree};

/// The rows of one module, from the bottom up.
///
/// A row has a name and the files or folders that belong to it. The module's own file is `mod`, and
/// the crate's is `lib`. A file or folder may use only rows below its own.
pub(crate) struct Table {
    /// The path of the module; empty for the crate.
    pub(crate) module: &'static str,
    pub(crate) rows: &'static [(&'static str, &'static [&'static str])],
}

/// Every module that has rows.
pub(crate) const TABLES: [Table; 7] = [
    Table {
        module: "",
        rows: &[
            ("L0", &["error"]),
            (
                "L0",
                &[
                    "clock",
                    "codec",
                    "fork_guard",
                    "json_number",
                    "lock",
                    "metrics",
                    "private_file",
                    "secret",
                    "shard",
                    "span",
                    "text",
                ],
            ),
            ("L1", &["algorithm", "context", "identity"]),
            ("L1", &["key"]),
            ("L2", &["crypto"]),
            ("L2", &["seal"]),
            ("L3", &["audit", "blob", "jose", "message", "policy", "provider", "store"]),
            ("L4", &["kms"]),
            ("L5", &["envelope"]),
            ("L5", &["columns", "objects", "parameters", "s3_encryption", "volumes"]),
            ("L5", &["wire"]),
            ("L6", &["export", "fuzzing", "maintenance", "manual", "request"]),
            ("L6", &["lib"]),
        ],
    },
    Table {
        module: "kms",
        rows: &[
            ("row 1", &["request", "records"]),
            ("row 2", &["storage"]),
            ("row 3", &["engine"]),
            ("row 4", &["pipeline"]),
            ("row 5", &["operations", "maintenance", "builder"]),
            ("row 6", &["key_handles", "transfer"]),
            ("row 7", &["fuzzing"]),
            ("row 8", &["mod"]),
        ],
    },
    Table {
        module: "provider::pkcs11",
        rows: &[
            ("row 1", &["config", "error"]),
            ("row 2", &["mechanism", "quirks", "reference"]),
            ("row 3", &["module"]),
            ("row 4", &["connection"]),
            ("row 5", &["object"]),
            ("row 6", &["token"]),
            ("row 7", &["cluster", "provider"]),
            ("row 8", &["root_key"]),
            ("row 9", &["mod"]),
        ],
    },
    Table {
        module: "envelope",
        rows: &[
            ("row 1", &["policy"]),
            ("row 2", &["branch_keys", "materials"]),
            ("row 3", &["keyring"]),
            ("row 4", &["config"]),
            ("row 5", &["start"]),
            ("row 6", &["stream"]),
            ("row 7", &["operations"]),
            ("row 8", &["conformance"]),
            ("row 9", &["mod"]),
        ],
    },
    Table {
        module: "objects",
        rows: &[
            ("row 1", &["chunks", "error", "geometry"]),
            ("row 2", &["binding", "seal", "source", "sweep_report", "tasks"]),
            ("row 3", &["cipher", "fuzzing", "upload", "wrapping_key"]),
            ("row 4", &["current_keys", "store"]),
            ("row 5", &["builder", "read", "write"]),
            ("row 6", &["copy"]),
            ("row 7", &["implementation", "sweep"]),
            ("row 8", &["mod"]),
        ],
    },
    Table {
        module: "parameters",
        rows: &[
            ("row 1", &["kinds"]),
            ("row 1", &["error"]),
            ("row 2", &["name", "policies", "token"]),
            ("row 3", &["record", "value"]),
            ("row 4", &["cipher", "filter", "response"]),
            ("row 4", &["fuzzing"]),
            ("row 4", &["request"]),
            ("row 5", &["handle"]),
            ("row 6", &["get", "put"]),
            ("row 7", &["delete", "labels", "list", "tags"]),
            ("row 8", &["maintenance"]),
            ("row 9", &["mod"]),
        ],
    },
    Table {
        module: "wire",
        rows: &[
            ("row 1", &["rejection"]),
            ("row 2", &["value"]),
            ("row 3", &["answer", "constraints", "failure", "json", "reply"]),
            ("row 4", &["encoding", "members"]),
            ("row 5", &["error", "operations"]),
            ("row 6", &["route"]),
            ("row 7", &["call", "fuzzing", "parameters"]),
            ("row 8", &["mod"]),
        ],
    },
];

/// Modules that do not exist yet, so their tables are not enforced.
pub(crate) const WAITING: &[&str] = &[];

impl Table {
    /// Returns every violation of the table.
    pub(crate) fn problems(&self, tree: &Tree, edges: &[Edge], planned: &[String]) -> Vec<String> {
        let mut problems = self.unlisted(tree, planned);
        problems.extend(edges.iter().filter_map(|edge| self.upward(edge)));
        problems
    }

    /// Returns modules that are only in the table or only in the tree.
    pub(crate) fn unlisted(&self, tree: &Tree, planned: &[String]) -> Vec<String> {
        let modules = tree.children(&self.path());
        let stranger = modules.iter().filter(|module| self.row(module).is_none());
        let mut problems: Vec<String> =
            stranger.map(|module| format!("module {} is in no row of the table", self.full(module))).collect();
        for name in self.names().filter(|name| !matches!(*name, "lib" | "mod")) {
            match (modules.contains(name), planned.contains(&self.full(name))) {
                (true, true) => problems.push(format!("module {} exists: remove it from PLANNED", self.full(name))),
                (false, false) => problems.push(format!("module {} is in the table but not in src", self.full(name))),
                _ => {}
            }
        }
        problems
    }

    /// Returns every name in the table.
    fn names(&self) -> impl Iterator<Item = &'static str> {
        self.rows.iter().flat_map(|(_, names)| names.iter().copied())
    }

    /// Returns the paths of the names that are in the table but not in the tree.
    pub(crate) fn missing(&self, tree: &Tree) -> Vec<String> {
        let present = tree.children(&self.path());
        let missing = self.names().filter(|name| !matches!(*name, "lib" | "mod") && !present.contains(*name));
        missing.map(|name| self.full(name)).collect()
    }

    /// Returns a submodule's path.
    fn full(&self, name: &str) -> String {
        if self.module.is_empty() { name.to_owned() } else { format!("{}::{name}", self.module) }
    }

    fn path(&self) -> Vec<String> {
        self.module.split("::").filter(|name| !name.is_empty()).map(str::to_owned).collect()
    }

    /// Returns the row of a name, counted from the bottom, and the name of that row.
    fn row(&self, name: &str) -> Option<(usize, &'static str)> {
        let found = self.rows.iter().enumerate().find(|(_, (_, names))| names.contains(&name));
        found.map(|(index, (layer, _))| (index, *layer))
    }

    /// Returns the violation, if the edge does not lead downward.
    fn upward(&self, edge: &Edge) -> Option<String> {
        let path = self.path();
        let own = if path.is_empty() { "lib" } else { "mod" };
        let name =
            |end: &[String]| Some(end.strip_prefix(path.as_slice())?.first().map_or(own, String::as_str).to_owned());
        let (from, to) = (name(&edge.from)?, name(&edge.to)?);
        if from == to {
            return None;
        }
        let ((from_row, from_layer), (to_row, to_layer)) = (self.row(&from)?, self.row(&to)?);
        let verb = if edge.kind == Kind::Call { "call" } else { "import" };
        (to_row >= from_row).then(|| {
            format!("{} makes {from} ({from_layer}) {verb} {to} ({to_layer}), which is not below it", edge.place)
        })
    }
}
