//! The module: forwards and counts calls, and fails according to the rules.

use std::ffi::{CString, c_void};
use std::ptr::{addr_of_mut, null_mut};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use cryptoki_sys::*;

use crate::control::Function;

/// Return the value.
pub(crate) const RETURN: u64 = 0;
/// Sleep for this number of milliseconds, and continue.
pub(crate) const SLEEP: u64 = 1;
/// Wait until released, and continue.
pub(crate) const HANG: u64 = 2;
/// Kill the process.
pub(crate) const KILL: u64 = 3;
/// Forward the call, and kill the process before the result is returned.
pub(crate) const KILL_AFTER: u64 = 4;

/// CKM_CLOUDHSM_AES_GCM.
const CLOUDHSM_AES_GCM: CK_MECHANISM_TYPE = CKM_VENDOR_DEFINED | 0x1087;

/// The origin of initialization vectors: the caller, or the token, which writes them to the
/// parameter, or before or after the ciphertext.
static IV_MODE: AtomicUsize = AtomicUsize::new(0);
static VANISHED: AtomicBool = AtomicBool::new(false);
/// The process will not outlive the current call.
static DOOMED: AtomicBool = AtomicBool::new(false);
/// Flags added to those of every token.
static TOKEN_FLAGS: AtomicU64 = AtomicU64::new(0);
/// Every token reports an unknown manufacturer.
static ANONYMOUS: AtomicBool = AtomicBool::new(false);
/// Attributes of type CK_BBOOL that new objects get, overriding their template.
static WEAKENED: Mutex<Vec<(CK_ATTRIBUTE_TYPE, CK_BBOOL)>> = Mutex::new(Vec::new());
/// An attribute of type CK_BBOOL, its claimed value, and the number of true reports before that.
static CLAIM: Mutex<Option<(CK_ATTRIBUTE_TYPE, CK_BBOOL, u64)>> = Mutex::new(None);
/// A CKA_ID of hidden objects, and the number of searches that do not find them.
static HIDDEN: Mutex<Option<(Vec<u8>, u64)>> = Mutex::new(None);
/// A CKA_ID that no object has.
static ABSENT: [u8; 33] = [0xA5; 33];
static RELEASED: AtomicU64 = AtomicU64::new(0);
/// The number of open sessions, and its maximum.
static OPEN: AtomicU64 = AtomicU64::new(0);
static MOST_OPEN: AtomicU64 = AtomicU64::new(0);
static CALLS: [AtomicU64; Function::ALL.len()] = [const { AtomicU64::new(0) }; Function::ALL.len()];
static RULES: Mutex<Vec<Rule>> = Mutex::new(Vec::new());
static SETTINGS: Mutex<Settings> = Mutex::new(Settings { module: None, reserved: None });
static mut LIST: CK_FUNCTION_LIST = unsafe { std::mem::zeroed() };
static mut REAL: *mut CK_FUNCTION_LIST = null_mut();

/// The initialization vector of a session's operation, if the token appends or prepends it.
static VECTORS: Mutex<Vec<(CK_SESSION_HANDLE, [u8; 12])>> = Mutex::new(Vec::new());

struct Rule {
    function: usize,
    skip: u64,
    times: u64,
    action: u64,
    value: u64,
}

struct Settings {
    module: Option<libloading::Library>,
    reserved: Option<CString>,
}

/// Applies the rules. Returns the value to return instead of forwarding, if any.
fn consult(function: Function) -> Option<CK_RV> {
    let index = function as usize;
    CALLS[index].fetch_add(1, SeqCst);
    let hit = {
        let mut rules = RULES.lock().unwrap();
        let mut left = rules.iter_mut().filter(|rule| rule.times > 0);
        let rule = left.find(|rule| rule.function == index || rule.function == usize::MAX);
        rule.and_then(|rule| {
            if rule.skip > 0 {
                rule.skip -= 1;
                return None;
            }
            rule.times -= 1;
            Some((rule.action, rule.value))
        })
    };
    match hit {
        Some((RETURN, value)) => return Some(value),
        Some((SLEEP, value)) => thread::sleep(Duration::from_millis(value)),
        Some((HANG, _)) => {
            let released = RELEASED.load(SeqCst);
            while RELEASED.load(SeqCst) == released {
                thread::sleep(Duration::from_millis(1));
            }
        }
        Some((KILL, _)) => kill(),
        Some((KILL_AFTER, _)) => DOOMED.store(true, SeqCst),
        _ => {}
    }
    let of_module = matches!(function, Function::Initialize | Function::Finalize | Function::GetSlotList);
    (VANISHED.load(SeqCst) && !of_module).then_some(CKR_TOKEN_NOT_PRESENT)
}

/// Ends the process immediately: nothing is unwound, flushed or dropped.
fn kill() {
    // SAFETY: Sends this process a signal that cannot be caught.
    unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
}

/// Returns the result of the real module, unless the process is to be killed.
fn answered(value: CK_RV) -> CK_RV {
    if DOOMED.load(SeqCst) {
        kill();
    }
    value
}

macro_rules! forward {
    ($($name:ident = $function:ident($($argument:ident: $type:ty),*);)*) => {
        $(
            unsafe extern "C" fn $name($($argument: $type),*) -> CK_RV {
                if let Some(value) = consult(Function::$function) {
                    return value;
                }
                // SAFETY: The caller passes arguments that conform to the standard.
                answered(unsafe { ((*REAL).$name.expect("the real module exports the function"))($($argument),*) })
            }
        )*

        fn fill(list: &mut CK_FUNCTION_LIST) {
            $(list.$name = Some($name);)*
            list.C_Initialize = Some(C_Initialize);
            list.C_Finalize = Some(C_Finalize);
            list.C_OpenSession = Some(C_OpenSession);
            list.C_CloseSession = Some(C_CloseSession);
            list.C_GetSlotList = Some(C_GetSlotList);
            list.C_EncryptInit = Some(C_EncryptInit);
            list.C_Encrypt = Some(C_Encrypt);
            list.C_GetTokenInfo = Some(C_GetTokenInfo);
            list.C_CreateObject = Some(C_CreateObject);
            list.C_FindObjectsInit = Some(C_FindObjectsInit);
            list.C_GetAttributeValue = Some(C_GetAttributeValue);
            list.C_GenerateKey = Some(C_GenerateKey);
            list.C_GenerateKeyPair = Some(C_GenerateKeyPair);
            list.C_UnwrapKey = Some(C_UnwrapKey);
        }
    };
}

forward! {
    C_GetMechanismList = GetMechanismList(slot: CK_SLOT_ID, list: *mut CK_MECHANISM_TYPE, count: *mut CK_ULONG);
    C_GetMechanismInfo = GetMechanismInfo(slot: CK_SLOT_ID, kind: CK_MECHANISM_TYPE, info: *mut CK_MECHANISM_INFO);
    C_Login = Login(session: CK_SESSION_HANDLE, user: CK_USER_TYPE, pin: *mut CK_UTF8CHAR, length: CK_ULONG);
    C_DestroyObject = DestroyObject(session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE);
    C_SetAttributeValue = SetAttributeValue(session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE, template: *mut CK_ATTRIBUTE, count: CK_ULONG);
    C_FindObjects = FindObjects(session: CK_SESSION_HANDLE, found: *mut CK_OBJECT_HANDLE, most: CK_ULONG, count: *mut CK_ULONG);
    C_FindObjectsFinal = FindObjectsFinal(session: CK_SESSION_HANDLE);
    C_DecryptInit = DecryptInit(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE);
    C_Decrypt = Decrypt(session: CK_SESSION_HANDLE, input: *mut CK_BYTE, length: CK_ULONG, output: *mut CK_BYTE, written: *mut CK_ULONG);
    C_SignInit = SignInit(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE);
    C_Sign = Sign(session: CK_SESSION_HANDLE, input: *mut CK_BYTE, length: CK_ULONG, output: *mut CK_BYTE, written: *mut CK_ULONG);
    C_WrapKey = WrapKey(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, with: CK_OBJECT_HANDLE, key: CK_OBJECT_HANDLE, output: *mut CK_BYTE, written: *mut CK_ULONG);
    C_GenerateRandom = GenerateRandom(session: CK_SESSION_HANDLE, output: *mut CK_BYTE, length: CK_ULONG);
}

unsafe extern "C" fn C_GetTokenInfo(slot: CK_SLOT_ID, info: *mut CK_TOKEN_INFO) -> CK_RV {
    if let Some(value) = consult(Function::GetTokenInfo) {
        return value;
    }
    // SAFETY: The caller passes arguments that conform to the standard.
    unsafe {
        let value = ((*REAL).C_GetTokenInfo.expect("the real module exports the function"))(slot, info);
        if value == CKR_OK {
            (*info).flags |= TOKEN_FLAGS.load(SeqCst);
            if ANONYMOUS.load(SeqCst) {
                (*info).manufacturerID = [b' '; 32];
            }
        }
        answered(value)
    }
}

/// Returns a template with the weakened attributes. Their values are in `WEAKENED`, which must stay
/// locked while the template is used.
///
/// # Safety
/// `template` has `count` attributes.
unsafe fn weakened(
    template: *mut CK_ATTRIBUTE,
    count: CK_ULONG,
    values: &[(CK_ATTRIBUTE_TYPE, CK_BBOOL)],
) -> Vec<CK_ATTRIBUTE> {
    // SAFETY: As promised by the caller.
    let mut attributes = unsafe { std::slice::from_raw_parts(template, count as usize) }.to_vec();
    for attribute in &mut attributes {
        if let Some((_, value)) = values.iter().find(|(kind, _)| *kind == attribute.type_) {
            attribute.pValue = std::ptr::from_ref(value).cast_mut().cast();
            attribute.ulValueLen = size_of::<CK_BBOOL>() as CK_ULONG;
        }
    }
    attributes
}

unsafe extern "C" fn C_CreateObject(
    session: CK_SESSION_HANDLE,
    template: *mut CK_ATTRIBUTE,
    count: CK_ULONG,
    object: *mut CK_OBJECT_HANDLE,
) -> CK_RV {
    if let Some(value) = consult(Function::CreateObject) {
        return value;
    }
    let values = WEAKENED.lock().unwrap();
    // SAFETY: The caller passes arguments that conform to the standard.
    unsafe {
        let mut own = weakened(template, count, &values);
        let create = (*REAL).C_CreateObject.expect("the real module exports the function");
        answered(create(session, own.as_mut_ptr(), count, object))
    }
}

unsafe extern "C" fn C_FindObjectsInit(
    session: CK_SESSION_HANDLE,
    template: *mut CK_ATTRIBUTE,
    count: CK_ULONG,
) -> CK_RV {
    if let Some(value) = consult(Function::FindObjectsInit) {
        return value;
    }
    // SAFETY: The caller passes arguments that conform to the standard.
    unsafe {
        let mut own = std::slice::from_raw_parts(template, count as usize).to_vec();
        if let Some((id, left)) = HIDDEN.lock().unwrap().as_mut().filter(|(_, left)| *left > 0) {
            let is_hidden = |attribute: &CK_ATTRIBUTE| {
                attribute.type_ == CKA_ID
                    && std::slice::from_raw_parts(attribute.pValue.cast::<u8>(), attribute.ulValueLen as usize) == id
            };
            if let Some(attribute) = own.iter_mut().find(|attribute| is_hidden(attribute)) {
                *left -= 1;
                attribute.pValue = ABSENT.as_ptr().cast_mut().cast();
                attribute.ulValueLen = ABSENT.len() as CK_ULONG;
            }
        }
        let find = (*REAL).C_FindObjectsInit.expect("the real module exports the function");
        answered(find(session, own.as_mut_ptr(), count))
    }
}

unsafe extern "C" fn C_GenerateKey(
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    template: *mut CK_ATTRIBUTE,
    count: CK_ULONG,
    key: *mut CK_OBJECT_HANDLE,
) -> CK_RV {
    if let Some(value) = consult(Function::GenerateKey) {
        return value;
    }
    let values = WEAKENED.lock().unwrap();
    // SAFETY: The caller passes arguments that conform to the standard.
    unsafe {
        let mut own = weakened(template, count, &values);
        let generate = (*REAL).C_GenerateKey.expect("the real module exports the function");
        answered(generate(session, mechanism, own.as_mut_ptr(), count, key))
    }
}

unsafe extern "C" fn C_GenerateKeyPair(
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    public: *mut CK_ATTRIBUTE,
    publics: CK_ULONG,
    private: *mut CK_ATTRIBUTE,
    privates: CK_ULONG,
    one: *mut CK_OBJECT_HANDLE,
    two: *mut CK_OBJECT_HANDLE,
) -> CK_RV {
    if let Some(value) = consult(Function::GenerateKeyPair) {
        return value;
    }
    let values = WEAKENED.lock().unwrap();
    // SAFETY: The caller passes arguments that conform to the standard.
    unsafe {
        let mut own = weakened(private, privates, &values);
        let generate = (*REAL).C_GenerateKeyPair.expect("the real module exports the function");
        answered(generate(session, mechanism, public, publics, own.as_mut_ptr(), privates, one, two))
    }
}

unsafe extern "C" fn C_UnwrapKey(
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    with: CK_OBJECT_HANDLE,
    wrapped: *mut CK_BYTE,
    length: CK_ULONG,
    template: *mut CK_ATTRIBUTE,
    count: CK_ULONG,
    key: *mut CK_OBJECT_HANDLE,
) -> CK_RV {
    if let Some(value) = consult(Function::UnwrapKey) {
        return value;
    }
    let values = WEAKENED.lock().unwrap();
    // SAFETY: The caller passes arguments that conform to the standard.
    unsafe {
        let mut own = weakened(template, count, &values);
        let unwrap = (*REAL).C_UnwrapKey.expect("the real module exports the function");
        answered(unwrap(session, mechanism, with, wrapped, length, own.as_mut_ptr(), count, key))
    }
}

unsafe extern "C" fn C_GetAttributeValue(
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
    template: *mut CK_ATTRIBUTE,
    count: CK_ULONG,
) -> CK_RV {
    if let Some(value) = consult(Function::GetAttributeValue) {
        return value;
    }
    // SAFETY: The caller passes arguments that conform to the standard.
    unsafe {
        let get = (*REAL).C_GetAttributeValue.expect("the real module exports the function");
        let value = get(session, object, template, count);
        let mut claim = CLAIM.lock().unwrap();
        if let Some((kind, claimed, truths)) = claim.as_mut().filter(|_| value == CKR_OK) {
            for attribute in std::slice::from_raw_parts(template, count as usize) {
                if attribute.type_ != *kind || attribute.pValue.is_null() {
                    continue;
                }
                match truths.checked_sub(1) {
                    Some(left) => *truths = left,
                    None => attribute.pValue.cast::<CK_BBOOL>().write(*claimed),
                }
            }
        }
        answered(value)
    }
}

unsafe extern "C" fn C_Initialize(arguments: *mut c_void) -> CK_RV {
    if let Some(value) = consult(Function::Initialize) {
        return value;
    }
    let settings = SETTINGS.lock().unwrap();
    // SAFETY: The caller passes CK_C_INITIALIZE_ARGS or null, and the added text outlives the call.
    unsafe {
        let mut own = if arguments.is_null() { CK_C_INITIALIZE_ARGS::default() } else { *arguments.cast() };
        let given = match &settings.reserved {
            Some(text) => {
                own.pReserved = text.as_ptr().cast_mut().cast();
                addr_of_mut!(own).cast()
            }
            None => arguments,
        };
        answered(((*REAL).C_Initialize.expect("the real module exports the function"))(given))
    }
}

unsafe extern "C" fn C_Finalize(reserved: *mut c_void) -> CK_RV {
    if let Some(value) = consult(Function::Finalize) {
        return value;
    }
    // SAFETY: The argument comes from the caller.
    let value = unsafe { ((*REAL).C_Finalize.expect("the real module exports the function"))(reserved) };
    if value == CKR_OK {
        OPEN.store(0, SeqCst);
    }
    answered(value)
}

unsafe extern "C" fn C_OpenSession(
    slot: CK_SLOT_ID,
    flags: CK_FLAGS,
    data: *mut c_void,
    notify: CK_NOTIFY,
    session: *mut CK_SESSION_HANDLE,
) -> CK_RV {
    if let Some(value) = consult(Function::OpenSession) {
        return value;
    }
    // SAFETY: The caller passes arguments that conform to the standard.
    let value = unsafe {
        ((*REAL).C_OpenSession.expect("the real module exports the function"))(slot, flags, data, notify, session)
    };
    if value == CKR_OK {
        MOST_OPEN.fetch_max(OPEN.fetch_add(1, SeqCst) + 1, SeqCst);
    }
    answered(value)
}

unsafe extern "C" fn C_CloseSession(session: CK_SESSION_HANDLE) -> CK_RV {
    let refused = consult(Function::CloseSession);
    if let Some(value) = refused
        && !VANISHED.load(SeqCst)
    {
        return value;
    }
    // SAFETY: The argument comes from the caller.
    let value = unsafe { ((*REAL).C_CloseSession.expect("the real module exports the function"))(session) };
    if value == CKR_OK {
        OPEN.fetch_sub(1, SeqCst);
    }
    // Sessions end when the token vanishes, although closing them reports that the token is absent.
    answered(refused.unwrap_or(value))
}

unsafe extern "C" fn C_GetSlotList(present: CK_BBOOL, list: *mut CK_SLOT_ID, count: *mut CK_ULONG) -> CK_RV {
    if let Some(value) = consult(Function::GetSlotList) {
        return value;
    }
    // SAFETY: The arguments come from the caller.
    unsafe {
        if VANISHED.load(SeqCst) {
            *count = 0;
            return CKR_OK;
        }
        answered(((*REAL).C_GetSlotList.expect("the real module exports the function"))(present, list, count))
    }
}

/// Behaves like a token that generates its own initialization vectors, if configured to.
unsafe extern "C" fn C_EncryptInit(
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    key: CK_OBJECT_HANDLE,
) -> CK_RV {
    if let Some(value) = consult(Function::EncryptInit) {
        return value;
    }
    // SAFETY: The arguments come from the caller. A mechanism of AES-GCM comes with its parameter.
    unsafe {
        let init = (*REAL).C_EncryptInit.expect("the real module exports the function");
        let kind = (*mechanism).mechanism;
        let mode = IV_MODE.load(SeqCst);
        if mode == 0 || !(kind == CKM_AES_GCM || kind == CLOUDHSM_AES_GCM) {
            return answered(init(session, mechanism, key));
        }
        let parameters = (*mechanism).pParameter.cast::<CK_GCM_PARAMS>();
        let mut vector = [0_u8; 12];
        let random = (*REAL).C_GenerateRandom.expect("the real module exports the function");
        if random(session, vector.as_mut_ptr(), 12) != CKR_OK {
            return CKR_RANDOM_NO_RNG;
        }
        let mut own = *parameters;
        match (mode, kind) {
            (1, CKM_AES_GCM) => {
                let given = std::slice::from_raw_parts_mut(own.pIv, 12);
                if given != [0; 12] {
                    return CKR_MECHANISM_PARAM_INVALID;
                }
                given.copy_from_slice(&vector);
            }
            (2, CLOUDHSM_AES_GCM) if own.pIv.is_null() && own.ulIvLen == 0 => {}
            (3, CKM_AES_GCM) => {}
            _ => return CKR_MECHANISM_PARAM_INVALID,
        }
        own.pIv = vector.as_mut_ptr();
        (own.ulIvLen, own.ulIvBits) = (12, 96);
        let mut real = CK_MECHANISM {
            mechanism: CKM_AES_GCM,
            pParameter: addr_of_mut!(own).cast(),
            ulParameterLen: size_of::<CK_GCM_PARAMS>() as CK_ULONG,
        };
        if mode > 1 {
            let mut vectors = VECTORS.lock().unwrap();
            vectors.retain(|known| known.0 != session);
            vectors.push((session, vector));
        }
        answered(init(session, &mut real, key))
    }
}

unsafe extern "C" fn C_Encrypt(
    session: CK_SESSION_HANDLE,
    input: *mut CK_BYTE,
    length: CK_ULONG,
    output: *mut CK_BYTE,
    written: *mut CK_ULONG,
) -> CK_RV {
    if let Some(value) = consult(Function::Encrypt) {
        return value;
    }
    // SAFETY: The arguments come from the caller, with room for 12 more bytes, as reported by the
    // first call.
    unsafe {
        let encrypt = (*REAL).C_Encrypt.expect("the real module exports the function");
        let vector = VECTORS.lock().unwrap().iter().find(|known| known.0 == session).map(|known| known.1);
        let Some(vector) = vector.filter(|_| IV_MODE.load(SeqCst) > 1) else {
            return answered(encrypt(session, input, length, output, written));
        };
        if output.is_null() {
            let value = encrypt(session, input, length, output, written);
            *written += 12;
            return value;
        }
        *written -= 12;
        let at = if IV_MODE.load(SeqCst) == 2 { 12 } else { 0 };
        let value = encrypt(session, input, length, output.add(at), written);
        if value == CKR_OK {
            let place = if at == 12 { output } else { output.add(*written as usize) };
            place.copy_from_nonoverlapping(vector.as_ptr(), 12);
            *written += 12;
            VECTORS.lock().unwrap().retain(|known| known.0 != session);
        }
        value
    }
}

/// # Safety
/// `list` must be valid for a write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn C_GetFunctionList(list: *mut *mut CK_FUNCTION_LIST) -> CK_RV {
    // SAFETY: A test configures the shim once, before it is loaded as a module.
    unsafe {
        if REAL.is_null() {
            return CKR_LIBRARY_LOAD_FAILED;
        }
        *list = addr_of_mut!(LIST);
    }
    CKR_OK
}

/// Sets the module behind the shim and the text that it is initialized with. Returns 0 if the
/// module can be loaded.
///
/// # Safety
/// Both pointers must refer to text of the given length. Must be called only once, before the shim
/// is used.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn faults_configure(
    path: *const u8,
    length: usize,
    reserved: *const u8,
    reserved_length: usize,
) -> i32 {
    // SAFETY: As promised by the caller.
    unsafe {
        let path = std::slice::from_raw_parts(path, length);
        let reserved = std::slice::from_raw_parts(reserved, reserved_length);
        let Ok(path) = std::str::from_utf8(path) else { return 1 };
        let Ok(module) = libloading::Library::new(path) else { return 2 };
        let Ok(get) = module.get::<unsafe extern "C" fn(*mut *mut CK_FUNCTION_LIST) -> CK_RV>(b"C_GetFunctionList\0")
        else {
            return 3;
        };
        if get(addr_of_mut!(REAL)) != CKR_OK {
            return 4;
        }
        LIST = *REAL;
        fill(&mut *addr_of_mut!(LIST));
        LIST.C_GetFunctionList = Some(C_GetFunctionList);
        let mut settings = SETTINGS.lock().unwrap();
        settings.module = Some(module);
        settings.reserved = (!reserved.is_empty()).then(|| CString::new(reserved).expect("no zero byte"));
    }
    0
}

#[unsafe(no_mangle)]
pub extern "C" fn faults_rule(function: usize, skip: u64, times: u64, action: u64, value: u64) {
    RULES.lock().unwrap().push(Rule { function, skip, times, action, value });
}

#[unsafe(no_mangle)]
pub extern "C" fn faults_clear() {
    RULES.lock().unwrap().clear();
    WEAKENED.lock().unwrap().clear();
    *CLAIM.lock().unwrap() = None;
    *HIDDEN.lock().unwrap() = None;
    TOKEN_FLAGS.store(0, SeqCst);
    VANISHED.store(false, SeqCst);
    RELEASED.fetch_add(1, SeqCst);
}

#[unsafe(no_mangle)]
pub extern "C" fn faults_vanish() {
    VANISHED.store(true, SeqCst);
}

#[unsafe(no_mangle)]
pub extern "C" fn faults_iv_mode(mode: usize) {
    IV_MODE.store(mode, SeqCst);
}

/// Returns the maximum number of open sessions since the last call of this function.
#[unsafe(no_mangle)]
pub extern "C" fn faults_most_sessions() -> u64 {
    MOST_OPEN.swap(OPEN.load(SeqCst), SeqCst)
}

#[unsafe(no_mangle)]
pub extern "C" fn faults_calls(function: usize) -> u64 {
    CALLS[function].load(SeqCst)
}

#[unsafe(no_mangle)]
pub extern "C" fn faults_anonymous() {
    ANONYMOUS.store(true, SeqCst);
}

#[unsafe(no_mangle)]
pub extern "C" fn faults_token_flags(flags: u64) {
    TOKEN_FLAGS.store(flags, SeqCst);
}

#[unsafe(no_mangle)]
pub extern "C" fn faults_weaken(attribute: u64, value: bool) {
    WEAKENED.lock().unwrap().push((attribute, CK_BBOOL::from(value)));
}

#[unsafe(no_mangle)]
pub extern "C" fn faults_claim(attribute: u64, value: bool, truths: u64) {
    *CLAIM.lock().unwrap() = Some((attribute, CK_BBOOL::from(value), truths));
}

/// # Safety
/// `id` has `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn faults_hide(id: *const u8, length: usize, looks: u64) {
    // SAFETY: As promised by the caller.
    let id = unsafe { std::slice::from_raw_parts(id, length) };
    *HIDDEN.lock().unwrap() = Some((id.to_vec(), looks));
}

/// Returns the number of remaining true reports.
#[unsafe(no_mangle)]
pub extern "C" fn faults_truths_left() -> u64 {
    CLAIM.lock().unwrap().map_or(0, |(_, _, truths)| truths)
}
