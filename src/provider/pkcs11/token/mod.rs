//! One token as a value: connected when it is needed, reconnected when it was lost, and asked again where that is safe.

pub(in crate::provider::pkcs11) mod capabilities;
pub(in crate::provider::pkcs11) mod health;
pub(in crate::provider::pkcs11) mod instance_mark;
pub(in crate::provider::pkcs11) mod operations;

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption, Guard};

use self::capabilities::TokenCapabilities;
use self::health::{Breaker, TokenHealth};
use crate::birthplace::Birthplace;
use crate::provider::pkcs11::config::{CallMode, PinProvider, TokenConfig};
use crate::provider::pkcs11::connection::{Attachment, Calls};
use crate::provider::pkcs11::error::{ErrorClass, TokenError};
use crate::provider::pkcs11::module::turns::Turn;
use crate::provider::pkcs11::module::workers::Workers;
use crate::provider::pkcs11::module::{LOOKS, Membership, Module};
use crate::provider::pkcs11::object as keys;
use crate::provider::pkcs11::reference::KeyReference;

/// How long an operation waits before it asks a busy token again, the first time. Twice as long each time.
const BUSY_PAUSE: Duration = Duration::from_millis(5);

/// How often a busy token is asked again.
const BUSY_RETRIES: u32 = 4;

/// How long a connection waits before it looks again for a token that may be hidden, the first time; each time longer by
/// as much.
const HIDDEN_PAUSE: Duration = Duration::from_millis(20);

/// How much longer than an operation an explicit connection may take: it may have key pairs to make.
const CONNECT_DEADLINES: u32 = 8;

/// A token. Cheap to clone; all clones are the same one.
///
/// Nothing happens when it is made: it is found and logged in to by [`Token::connect`], or by the first operation.
#[derive(Clone)]
pub struct Token(pub(in crate::provider::pkcs11) Arc<Inner>);

pub(in crate::provider::pkcs11) struct Inner {
    pub(in crate::provider::pkcs11) module: Module,
    pub(in crate::provider::pkcs11) config: TokenConfig,
    pin: ArcSwap<Box<dyn PinProvider>>,
    capabilities: ArcSwapOption<TokenCapabilities>,
    /// Of the process in which the token was made.
    local: Arc<Local>,
    /// Of a child that was forked from it, in that child.
    forked: ArcSwapOption<Local>,
}

/// What belongs to one process: a child that was forked starts with nothing.
struct Local {
    birthplace: Birthplace,
    attachment: ArcSwapOption<Attachment>,
    connecting: Mutex<Connecting>,
    connected: Condvar,
    workers: Option<Workers>,
    breaker: Breaker,
}

#[derive(Debug, Default)]
struct Connecting {
    under_way: bool,
    ended: bool,
    /// Part in the module for as long as the token is used, so that it is not finalised while the token is looked for.
    membership: Option<Arc<Membership>>,
}

/// Whether an operation may be done twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::provider::pkcs11) enum Repeat {
    /// Doing it twice is as good as once.
    Safe,
    /// The same, and it is about objects: some tokens do it right only while nothing else is about them.
    SafeAlone,
    /// It makes or destroys something, and is about objects as well.
    Never,
}

/// Which session is good enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Session {
    Any,
    New,
}

/// Something to do with a token, and how to tell afterwards whether it was the token's fault.
pub(in crate::provider::pkcs11) struct Task<F> {
    pub(in crate::provider::pkcs11) repeat: Repeat,
    /// The key whose canary tells; without one the token itself is asked.
    pub(in crate::provider::pkcs11) key: Option<KeyReference>,
    pub(in crate::provider::pkcs11) work: F,
}

impl Token {
    /// A token of a module.
    pub fn new(module: &Module, config: TokenConfig, pin: impl PinProvider + 'static) -> Self {
        let breaker = Breaker::new(config.breaker_failures, config.breaker_pause);
        let local = Arc::new(Local::new(&config, breaker));
        let pin: Box<dyn PinProvider> = Box::new(pin);
        Self(Arc::new(Inner {
            module: module.clone(),
            config,
            pin: ArcSwap::from_pointee(pin),
            capabilities: ArcSwapOption::empty(),
            local,
            forked: ArcSwapOption::empty(),
        }))
    }

    /// Its module.
    pub fn module(&self) -> &Module {
        &self.0.module
    }

    /// Its settings.
    pub fn config(&self) -> &TokenConfig {
        &self.0.config
    }

    /// Finds the token, logs in and finds out what it can do, unless that is done already.
    ///
    /// # Errors
    /// [`ErrorClass::TokenLost`] if it is not there, [`ErrorClass::Denied`] if it refuses the PIN, which is not tried
    /// again until [`Token::set_pin`], [`ErrorClass::Fatal`] if it fails its self-test.
    pub fn connect(&self) -> Result<Arc<TokenCapabilities>, TokenError> {
        let local = self.0.local();
        local.connecting().ended = false;
        let mut looks = 1;
        loop {
            local.breaker.try_now();
            let epoch = self.module().epoch();
            let work = Task { repeat: Repeat::Safe, key: None, work: keys::token_is_well };
            let Err(error) = self.run_within(&local, CONNECT_DEADLINES, work) else { break };
            // If it was only hidden, it is seen after another initialisation.
            let looked_anew = error.class() == ErrorClass::TokenLost && self.module().epoch() != epoch;
            if !looked_anew || !self.module().hides_tokens() || looks == LOOKS {
                return Err(error);
            }
            thread::sleep(HIDDEN_PAUSE * looks);
            looks += 1;
        }
        self.capabilities()
            .ok_or_else(|| TokenError::new(ErrorClass::TokenLost, "the token was disconnected meanwhile"))
    }

    /// Ends the connection. Operations are refused until [`Token::connect`].
    pub fn disconnect(&self) {
        let local = self.0.local();
        let membership = {
            let mut connecting = local.connecting();
            connecting.ended = true;
            connecting.membership.take()
        };
        local.attachment.store(None);
        drop(membership);
        local.breaker.reset();
    }

    /// Takes another PIN, after the last one was refused or changed.
    pub fn set_pin(&self, pin: impl PinProvider + 'static) {
        let pin: Box<dyn PinProvider> = Box::new(pin);
        self.0.pin.store(Arc::new(pin));
        self.0.local().breaker.reset();
    }

    /// Whether an operation would be tried now: not while the token is left alone, or refuses the PIN.
    pub(in crate::provider::pkcs11) fn may_be_tried(&self) -> bool {
        let local = self.0.local();
        !self.module().is_wedged() && local.breaker.lets_through()
    }

    /// What it can do, if it was ever connected.
    pub fn capabilities(&self) -> Option<Arc<TokenCapabilities>> {
        self.0.capabilities.load_full()
    }

    /// How it is, without asking it.
    pub fn health(&self) -> TokenHealth {
        let local = self.0.local();
        let (state, failures, last_error) = local.breaker.report(local.attachment.load().is_some());
        TokenHealth {
            state,
            failures,
            last_error,
            stuck_calls: local.workers.as_ref().map_or(0, Workers::stuck),
            module_wedged: self.0.module.is_wedged(),
            epoch: self.0.module.epoch(),
        }
    }

    /// Asks the token whether it is there, and connects to it if need be.
    ///
    /// # Errors
    /// As [`Token::connect`].
    pub fn check(&self) -> Result<(), TokenError> {
        self.run(Task { repeat: Repeat::Safe, key: None, work: keys::token_is_well })
    }

    /// Does something with the token, in the way of calling that is set.
    pub(in crate::provider::pkcs11) fn run<T, F>(&self, task: Task<F>) -> Result<T, TokenError>
    where
        T: Send + 'static,
        F: Fn(Calls<'_>) -> Result<T, TokenError> + Send + 'static,
    {
        self.run_within(&self.0.local(), 1, task)
    }

    fn run_within<T, F>(&self, local: &Arc<Local>, deadlines: u32, task: Task<F>) -> Result<T, TokenError>
    where
        T: Send + 'static,
        F: Fn(Calls<'_>) -> Result<T, TokenError> + Send + 'static,
    {
        local.breaker.check().map_err(|error| self.0.named(error))?;
        let done = match (&local.workers, self.0.config.call_mode) {
            (Some(workers), CallMode::Deadline { deadline, .. }) => {
                let (inner, of_thread) = (Arc::clone(&self.0), Arc::clone(local));
                let work = move || inner.attempt(&of_thread, &task);
                workers.run(&self.0.module, deadline.saturating_mul(deadlines), work).unwrap_or_else(|error| {
                    if error.class() == ErrorClass::TokenLost {
                        local.breaker.failure(&error);
                    }
                    Err(error)
                })
            }
            _ => self.0.attempt(local, &task),
        };
        done.map_err(|error| self.0.named(error))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("selector", self.0.config.selector())
            .field("module", &self.0.module)
            .field("health", &self.health().state)
            .finish_non_exhaustive()
    }
}

impl Local {
    fn new(config: &TokenConfig, breaker: Breaker) -> Self {
        let workers = match config.call_mode {
            CallMode::Direct => None,
            CallMode::Deadline { threads, .. } => Some(Workers::new(&config.selector.to_string(), threads)),
        };
        Self {
            birthplace: Birthplace::here(),
            attachment: ArcSwapOption::empty(),
            connecting: Mutex::default(),
            connected: Condvar::new(),
            workers,
            breaker,
        }
    }

    fn connecting(&self) -> MutexGuard<'_, Connecting> {
        self.connecting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // As in `local`: what was inherited is not dropped.
        let inherited = [Some(Arc::clone(&self.local)), self.forked.load_full()].into_iter().flatten();
        inherited.filter(|local| !local.birthplace.is_here()).for_each(std::mem::forget);
    }
}

/// What belongs to the process that calls.
enum Here<'a> {
    Made(&'a Arc<Local>),
    Forked(Guard<Option<Arc<Local>>>),
}

impl Deref for Here<'_> {
    type Target = Arc<Local>;

    fn deref(&self) -> &Arc<Local> {
        match self {
            Self::Made(local) => local,
            Self::Forked(local) => local.as_ref().expect("one was put there, and none is ever taken out"),
        }
    }
}

/// How often the same operation is still tried again.
struct Left {
    lost: u32,
    busy: u32,
    ambiguous: u32,
}

impl Inner {
    fn local(&self) -> Here<'_> {
        if self.local.birthplace.is_here() {
            return Here::Made(&self.local);
        }
        let inherited = self.forked.load();
        if inherited.as_ref().is_some_and(|local| local.birthplace.is_here()) {
            return Here::Forked(inherited);
        }
        let child = Arc::new(Local::new(&self.config, self.local.breaker.fresh()));
        self.forked.compare_and_swap(&inherited, Some(child));
        // What a parent had is never dropped here: its locks may be held by threads that this process does not have.
        std::mem::forget(Guard::into_inner(inherited));
        Here::Forked(self.forked.load())
    }

    fn named(&self, error: TokenError) -> TokenError {
        error.at(&self.config.selector.to_string())
    }

    fn attempt<T, F>(&self, local: &Local, task: &Task<F>) -> Result<T, TokenError>
    where
        F: Fn(Calls<'_>) -> Result<T, TokenError>,
    {
        if task.repeat == Repeat::Never {
            // What may be done once only is not what finds out that a session died long ago.
            self.in_turns(local, &Task { repeat: Repeat::Safe, key: None, work: keys::token_is_well })?;
        }
        self.in_turns(local, task)
    }

    /// The turn to do something about objects of the token, if it does that right only one at a time: also for a key that
    /// has to be looked for before it is used.
    fn turn_of_objects<F>(&self, attachment: &Attachment, task: &Task<F>) -> Result<Option<Turn>, TokenError> {
        let is_sought = |key| attachment.handle(key).is_none();
        if task.repeat == Repeat::Safe && !task.key.as_ref().is_some_and(is_sought) {
            return Ok(None);
        }
        let capabilities = self.capabilities.load();
        if !capabilities.as_ref().is_some_and(|capabilities| capabilities.quirks.objects_one_at_a_time) {
            return Ok(None);
        }
        let turn = self.module.turn_of_objects(self.config.session_wait);
        turn.map(Some).ok_or_else(|| TokenError::new(ErrorClass::Busy, "the token makes or looks for another object"))
    }

    /// Does it, and again where that is safe and may help.
    fn in_turns<T, F>(&self, local: &Local, task: &Task<F>) -> Result<T, TokenError>
    where
        F: Fn(Calls<'_>) -> Result<T, TokenError>,
    {
        let repeats = u32::from(task.repeat != Repeat::Never);
        let mut left = Left { lost: repeats, busy: repeats * BUSY_RETRIES, ambiguous: repeats };
        loop {
            let kept = local.attachment.load();
            let made;
            let attachment = match kept.as_ref() {
                Some(attachment) if attachment.is_current() => attachment,
                _ => {
                    made = self.attach(local)?;
                    &made
                }
            };
            let _turn = self.turn_of_objects(attachment, task)?;
            let error = match self.once(attachment, Session::Any, &task.work) {
                Ok(result) => {
                    local.breaker.success();
                    return Ok(result);
                }
                Err(error) => error,
            };
            let error = self.judge(attachment, error, task.key.as_ref());
            if !self.try_again(local, attachment, &error, &mut left) {
                return Err(conclude(error));
            }
        }
    }

    /// Does it once, with a session that is closed afterwards unless all went well.
    fn once<T>(
        &self,
        attachment: &Arc<Attachment>,
        session: Session,
        work: impl Fn(Calls<'_>) -> Result<T, TokenError>,
    ) -> Result<T, TokenError> {
        let mut lent = attachment.pool.lend(self.config.session_wait)?;
        let call = attachment.enter()?;
        if session == Session::New {
            lent.renew();
        }
        let opened = lent.session(|| attachment.open_session());
        let result = match opened {
            Ok(session) => work(Calls { module: &self.module, attachment, session }),
            Err(error) => {
                if error.code() == Some("CKR_SESSION_COUNT") {
                    attachment.pool.is_full();
                }
                Err(error)
            }
        };
        if result.is_ok() {
            lent.give_back();
        } else {
            drop(lent);
        }
        drop(call);
        result
    }

    /// Finds out what an answer means that may mean anything.
    fn judge(&self, attachment: &Arc<Attachment>, error: TokenError, key: Option<&KeyReference>) -> TokenError {
        let asked = match error.class() {
            ErrorClass::Ambiguous => self.once(attachment, Session::New, |calls| match key {
                Some(key) => keys::key_is_well(calls, key, &self.config.backend),
                None => keys::token_is_well(calls),
            }),
            // Where a token is gone, some see a token without keys.
            ErrorClass::KeyMissing => self.once(attachment, Session::New, keys::token_is_well),
            _ => return error,
        };
        match asked {
            Ok(()) => error,
            Err(unwell) if matches!(unwell.class(), ErrorClass::Busy | ErrorClass::SessionLost) => unwell,
            Err(unwell) => error.found_to_be(ErrorClass::TokenLost, &format!("the token does not answer ({unwell})")),
        }
    }

    /// Whether the operation is tried again, after an error that was judged. Keeps account of the token's health.
    fn try_again(&self, local: &Local, attachment: &Arc<Attachment>, error: &TokenError, left: &mut Left) -> bool {
        let mut take = |count: fn(&mut Left) -> &mut u32| {
            let count = count(left);
            let some = *count > 0;
            *count = count.saturating_sub(1);
            some
        };
        match error.class() {
            ErrorClass::SessionLost | ErrorClass::TokenLost => {
                Self::detach(local, attachment);
                let again = take(|left| &mut left.lost);
                if !again {
                    local.breaker.failure(error);
                }
                again
            }
            ErrorClass::Busy => {
                let again = take(|left| &mut left.busy);
                if again {
                    thread::sleep(BUSY_PAUSE * 2_u32.pow(BUSY_RETRIES - 1 - left.busy));
                }
                again
            }
            ErrorClass::Ambiguous | ErrorClass::KeyMissing => {
                // The token is well: it may have been a hiccup, and if not, it is the input, or the key is not there.
                local.breaker.success();
                take(|left| &mut left.ambiguous)
            }
            ErrorClass::BadInput | ErrorClass::Denied | ErrorClass::Fatal => {
                local.breaker.success();
                false
            }
        }
    }

    /// Gives up a connection; whoever comes next makes a new one.
    fn detach(local: &Local, attachment: &Arc<Attachment>) {
        local.attachment.compare_and_swap(attachment, None);
    }

    /// The connection, made unless somebody else has just done so.
    fn attach(&self, local: &Local) -> Result<Arc<Attachment>, TokenError> {
        let _turn = ConnectingTurn::take(local, self.config.session_wait)?;
        if let Some(attachment) = local.attachment.load_full()
            && attachment.is_current()
        {
            return Ok(attachment);
        }
        // What the one before was refused, and waited for here, is not tried again: each wrong PIN brings the token nearer
        // to locking.
        local.breaker.check_pin()?;
        local.attachment.store(None);
        let made = self.membership(local).and_then(|membership| self.make_attachment(&membership));
        let made = made.and_then(|attachment| Self::keep(local, attachment));
        match &made {
            Ok(_) => local.breaker.logged_in(),
            Err(error) if error.is_of_login() => local.breaker.login_failed(error),
            Err(_) => {}
        }
        made.inspect_err(|error| match error.class() {
            ErrorClass::Denied | ErrorClass::Fatal | ErrorClass::Busy => {}
            _ => local.breaker.failure(error),
        })
    }

    /// Keeps a new connection, unless the token was disconnected while it was made.
    fn keep(local: &Local, attachment: Arc<Attachment>) -> Result<Arc<Attachment>, TokenError> {
        let membership = {
            let mut connecting = local.connecting();
            if !connecting.ended {
                local.attachment.store(Some(Arc::clone(&attachment)));
                return Ok(attachment);
            }
            connecting.membership.take()
        };
        drop((attachment, membership));
        Err(TokenError::new(ErrorClass::TokenLost, "the token was disconnected"))
    }

    fn membership(&self, local: &Local) -> Result<Arc<Membership>, TokenError> {
        if let Some(membership) = &local.connecting().membership {
            return Ok(Arc::clone(membership));
        }
        let membership = Arc::new(self.module.join()?);
        local.connecting().membership = Some(Arc::clone(&membership));
        Ok(membership)
    }

    /// Finds the token; where it is not, has the module look again, as tokens that come back are not seen before.
    fn make_attachment(&self, membership: &Arc<Membership>) -> Result<Arc<Attachment>, TokenError> {
        let epoch = self.module.epoch();
        self.try_attachment(membership).or_else(|error| match error.class() {
            _ if error.is_of_unclear_login() => Err(error),
            ErrorClass::Denied | ErrorClass::Fatal | ErrorClass::Busy | ErrorClass::BadInput => Err(error),
            ErrorClass::SessionLost | ErrorClass::TokenLost | ErrorClass::Ambiguous | ErrorClass::KeyMissing => {
                match self.module.reinitialize(epoch) {
                    Ok(()) => self.try_attachment(membership),
                    Err(refused) => Err(error.found_to_be(ErrorClass::TokenLost, &refused.to_string())),
                }
            }
        })
    }

    fn try_attachment(&self, membership: &Arc<Membership>) -> Result<Arc<Attachment>, TokenError> {
        let pin = self.pin.load_full();
        let attachment = Arc::new(Attachment::make(&self.module, membership, &self.config, &**pin)?);
        let known = self.capabilities.load_full();
        let found = self.once(&attachment, Session::Any, |calls| match &known {
            Some(known) if known.are_of(calls) => Ok(None),
            _ => TokenCapabilities::probe(calls, &self.config).map(Some),
        });
        let found = match found? {
            Some(found) => {
                let found = Arc::new(found);
                self.capabilities.store(Some(Arc::clone(&found)));
                Some(found)
            }
            None => known,
        };
        if let Some(mode) = found.and_then(|found| found.iv_mode) {
            attachment.iv_mode.get_or_init(|| mode);
        }
        Ok(attachment)
    }
}

/// What an error means to the caller once nothing more is tried.
fn conclude(error: TokenError) -> TokenError {
    match error.class() {
        ErrorClass::Ambiguous => error.found_to_be(ErrorClass::BadInput, "the token is well and refuses the input"),
        _ => error,
    }
}

/// The turn to make the connection of a token.
struct ConnectingTurn<'a>(&'a Local);

impl<'a> ConnectingTurn<'a> {
    fn take(local: &'a Local, wait: Duration) -> Result<Self, TokenError> {
        let (mut connecting, waited) = local
            .connected
            .wait_timeout_while(local.connecting(), wait, |connecting| connecting.under_way)
            .unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            return Err(TokenError::new(ErrorClass::TokenLost, "a connection to the token is not made in time"));
        }
        if connecting.ended {
            return Err(TokenError::new(ErrorClass::TokenLost, "the token is disconnected"));
        }
        connecting.under_way = true;
        Ok(Self(local))
    }
}

impl Drop for ConnectingTurn<'_> {
    fn drop(&mut self) {
        self.0.connecting().under_way = false;
        self.0.connected.notify_all();
    }
}
