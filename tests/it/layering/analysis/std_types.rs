//! Return types of standard library methods, as far as they are needed to resolve the next call.

use super::types::Type;

/// Names of methods in the standard library and in other crates. A call of one on a value of
/// unknown type is ignored. Add a name here if a call without a type before its name causes a false
/// edge.
const COMMON_NAMES: &str = "\
    abs all and and_then any append as_bytes as_deref as_mut as_mut_slice as_ref as_slice as_str borrow borrow_mut \
    busy_timeout bytes chain chars checked_add chunks clear clone cloned close cmp collect commit contains \
    contains_key copied copy_from_slice count decode decrypt default deref drain drop elapsed encode encrypt end \
    ends_with entry enumerate eq err expect extend fill filter filter_map finalize find finish first flush fmt fold \
    from get get_mut get_or_init get_ref hash id insert into into_bytes into_inner into_iter is_empty is_err is_none \
    is_ok is_some iter iter_mut join keys kind last len lines load lock log map map_err max metadata min name new \
    next next_back now ok ok_or open or or_else or_insert parse path peek poll pop position pow prepare push \
    push_str range read read_exact read_to_end recv remove replace reserve resize retain rev seek send set shutdown \
    sign size skip sort source spawn split split_at start starts_with state status step store swap sync_all take \
    then to_bytes to_owned to_string to_vec trim truncate try_from try_into unwrap unwrap_key unwrap_or \
    unwrap_or_else update values verify version wait with wrap_key wrapping_add write write_all write_str year zip";

/// Types that a method call looks through.
const TRANSPARENT: &str = "\
    Arc Box Cow Guard LazyLock ManuallyDrop MutexGuard Pin PoisonError Rc Ref RefMut RwLockReadGuard RwLockWriteGuard \
    Zeroizing";

/// Types that yield their argument when iterated over.
const COLLECTIONS: &str = "\
    BTreeSet BinaryHeap DoubleEndedIterator ExactSizeIterator HashSet HashTrieSet IntoIter IntoIterator Iter Iterator \
    Peekable RedBlackTreeSet Vec VecDeque";

/// Types that yield pairs.
const MAPS: &str = "BTreeMap HashMap HashTrieMap HashTrieMapSync RedBlackTreeMap RedBlackTreeMapSync";

/// Types that contain one value.
const CELLS: &str = "ArcSwap ArcSwapOption Cell Mutex OnceCell OnceLock Option RefCell Result RwLock";

fn lists(list: &str, name: &str) -> bool {
    list.split_whitespace().any(|one| one == name)
}

/// Returns `true` for a name that other crates are likely to use for a method.
pub(super) fn is_common(name: &str) -> bool {
    lists(COMMON_NAMES, name)
}

/// Returns `true` for a type that a method call looks through.
pub(super) fn is_transparent(name: &str) -> bool {
    lists(TRANSPARENT, name)
}

/// Removes the types that a method call looks through.
pub(super) fn peeled(this: &Type) -> &Type {
    match this {
        Type::Foreign(name, arguments) if is_transparent(name) && !arguments.is_empty() => peeled(&arguments[0]),
        other => other,
    }
}

/// Returns the type of the elements of a value.
pub(super) fn element(this: &Type) -> Type {
    match peeled(this) {
        Type::Foreign(name, arguments) if lists(MAPS, name) => Type::Tuple(arguments.clone()),
        one @ Type::Foreign(name, _) if lists(COLLECTIONS, name) || name == "Option" || name == "Result" => {
            one.argument(0)
        }
        Type::Param(_, bounds) | Type::Bounds(bounds) => {
            bounds.iter().map(element).find(|found| *found != Type::Unknown).unwrap_or(Type::Unknown)
        }
        _ => Type::Unknown,
    }
}

fn is_iterable(this: &Type) -> bool {
    match this {
        Type::Foreign(name, _) => lists(COLLECTIONS, name) || lists(MAPS, name),
        Type::Param(_, bounds) | Type::Bounds(bounds) => bounds.iter().any(is_iterable),
        _ => false,
    }
}

/// Returns the inputs of a closure that is passed to a method of the standard library.
pub(super) fn closure_inputs(this: &Type, method: &str) -> Vec<Type> {
    let this = peeled(this);
    let element = element(this);
    match method {
        "map_err" | "or_else" | "unwrap_or_else" | "inspect_err" => vec![this.argument(1)],
        "fold" => vec![Type::Unknown, element],
        "max_by" | "min_by" | "sort_by" | "dedup_by" | "sort_unstable_by" => vec![element.clone(), element],
        "retain" | "and_modify" if is(this, MAPS) => {
            vec![this.argument(0), this.argument(1)]
        }
        _ => vec![element],
    }
}

fn is(this: &Type, list: &str) -> bool {
    matches!(this, Type::Foreign(name, _) if lists(list, name))
}

fn option(one: Type) -> Type {
    Type::foreign("Option", vec![one])
}

fn result(one: Type, error: Type) -> Type {
    Type::foreign("Result", vec![one, error])
}

fn iterator(one: Type) -> Type {
    Type::foreign("Iterator", vec![one])
}

/// Returns the return type of a standard library method. `given` is the type of its last argument,
/// or of the result if that is a closure.
pub(super) fn output(this: &Type, method: &str, given: &Type) -> Type {
    let inner = peeled(this);
    let found = opened(inner, method).or_else(|| mapped(inner, method, given)).or_else(|| taken(inner, method));
    found.or_else(|| kept(this, method)).unwrap_or(Type::Unknown)
}

/// Returns the result of methods that unwrap a cell, an option or a result.
fn opened(this: &Type, method: &str) -> Option<Type> {
    let first = || this.argument(0);
    Some(match method {
        "unwrap" | "expect" | "unwrap_or" | "unwrap_or_default" | "unwrap_or_else" | "into_inner" | "get_or_init"
        | "get_or_insert_with"
            if is(this, CELLS) =>
        {
            first()
        }
        "load" | "load_full" if is(this, "ArcSwapOption") => option(first()),
        "load" | "load_full" if is(this, "ArcSwap") => first(),
        "get" | "replace" | "take" if is(this, "Cell") => first(),
        "get" if is(this, "OnceLock OnceCell") => option(first()),
        "insert" if is(this, "Option") => first(),
        "lock" | "read" | "write" | "try_lock" | "get_mut" if is(this, "Mutex RwLock") => result(first(), this.clone()),
        "borrow" | "borrow_mut" if is(this, "RefCell") => first(),
        "upgrade" => option(Type::foreign("Arc", vec![first()])),
        "ok" => option(first()),
        "err" => option(this.argument(1)),
        "transpose" if is(&first(), "Result") => result(option(first().argument(0)), first().argument(1)),
        "transpose" => option(result(first().argument(0), this.argument(1))),
        "flatten" if is(this, "Option") => first(),
        _ => return None,
    })
}

/// Returns the result of methods whose result depends on their argument.
fn mapped(this: &Type, method: &str, given: &Type) -> Option<Type> {
    Some(match method {
        "ok_or" | "ok_or_else" | "map_err" => result(this.argument(0), given.clone()),
        "map" if is(this, "Option") => option(given.clone()),
        "map" if is(this, "Result") => result(given.clone(), this.argument(1)),
        "map" => iterator(given.clone()),
        "then" | "then_some" => option(given.clone()),
        "and_then" | "map_or" | "map_or_else" | "fold" | "try_fold" | "find_map" => given.clone(),
        "filter_map" | "map_while" | "flat_map" => iterator(element(given)),
        "zip" => iterator(Type::Tuple(vec![element(this), element(given)])),
        _ => return None,
    })
}

/// Returns the result of methods of collections and iterators.
fn taken(this: &Type, method: &str) -> Option<Type> {
    Some(match method {
        "values" | "values_mut" | "into_values" => iterator(this.argument(1)),
        "keys" | "into_keys" => iterator(this.argument(0)),
        "get" | "get_mut" | "remove" | "insert" if is(this, MAPS) => option(this.argument(1)),
        "iter" | "iter_mut" | "into_iter" | "drain" | "range" | "extract_if" => iterator(element(this)),
        "flatten" => iterator(element(&element(this))),
        "enumerate" => iterator(Type::Tuple(vec![Type::foreign("usize", Vec::new()), element(this)])),
        "chunks" | "windows" | "chunks_exact" | "split" => iterator(this.clone()),
        "remove" | "swap_remove" if is(this, "Vec") => element(this),
        "get" | "get_mut" | "first" | "first_mut" | "last" | "last_mut" | "front" | "back" | "pop" | "pop_front"
        | "pop_back" | "next" | "next_back" | "next_if" | "nth" | "peek" | "find" | "reduce" | "max" | "max_by"
        | "max_by_key" | "min" | "min_by" | "min_by_key"
            if is_iterable(this) =>
        {
            option(element(this))
        }
        "to_string" | "to_uppercase" | "to_lowercase" => Type::foreign("String", Vec::new()),
        "len" | "count" => Type::foreign("usize", Vec::new()),
        "is_empty" | "is_some" | "is_none" | "is_some_and" | "is_ok_and" | "contains" | "any" | "all" => {
            Type::foreign("bool", Vec::new())
        }
        _ => return None,
    })
}

/// Returns the result of methods that return the type that they are called on.
fn kept(this: &Type, method: &str) -> Option<Type> {
    let kept = lists(
        "as_deref as_deref_mut as_mut as_mut_slice as_ref as_slice borrow borrow_mut by_ref chain clone cloned copied \
         deref deref_mut filter fuse inspect inspect_err into_boxed_slice or or_else peekable replace rev skip skip_while \
         step_by take take_while to_owned to_vec xor",
        method,
    );
    kept.then(|| this.clone())
}

/// Returns the type that a function of the standard library or a constructor of its enums returns.
pub(super) fn standard_call(this: &Type, name: &str, given: Vec<Type>) -> Type {
    let first = given.into_iter().next().unwrap_or(Type::Unknown);
    match (this, name) {
        (Type::Unknown, "Some") => Type::foreign("Option", vec![first]),
        (Type::Unknown, "Ok") => Type::foreign("Result", vec![first]),
        (Type::Unknown, "Err") => Type::foreign("Result", vec![Type::Unknown, first]),
        (Type::Foreign(wrapper, _), "new" | "from" | "clone") if is_transparent(wrapper) => {
            if name == "clone" {
                first
            } else {
                Type::foreign(wrapper, vec![first])
            }
        }
        (Type::Foreign(wrapper, _), "new" | "from_pointee") => Type::foreign(wrapper, vec![first]),
        (Type::Foreign(..), "default" | "from") => this.clone(),
        (Type::Own(..), "default" | "from") => this.clone(),
        (Type::Own(..), "try_from" | "from_str") => Type::foreign("Result", vec![this.clone()]),
        _ => Type::Unknown,
    }
}
