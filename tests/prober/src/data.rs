//! The calls of `state`, `routers`, `fifo` and `secrets`.

use mainstay_plugin::prelude::*;
use mainstay_plugin::{fifo, routers, secrets, state};
use serde_json::{Value, json};

/// Something to do with what is kept, known or told.
#[settings]
pub(crate) enum Call {
    /// `state.get`.
    Get(String),
    /// `state.set`.
    Set(Set),
    /// `state.delete`.
    Delete(String),
    /// `state.increment`, by one.
    Count(String),
    /// `routers.all`.
    Routers,
    /// `fifo.write`.
    Pipe(Pipe),
    /// `secrets.get`, revealed.
    Secret(String),
}

/// A value for a key.
#[settings]
pub(crate) struct Set {
    key: String,
    value: String,
}

/// A line for a pipe.
#[settings]
pub(crate) struct Pipe {
    path: String,
    line: String,
}

/// Makes a call; what came of it.
pub(crate) fn make(call: &Call) -> Value {
    let done = |()| json!("done");
    match call {
        Call::Get(key) => {
            let value = state::get(key).map_err(|error| error.name());
            answer(value.map(|value| json!(value.as_deref().map(text))))
        }
        Call::Set(set) => {
            let result = state::set(&set.key, set.value.as_bytes());
            answer(result.map_err(|error| error.name()).map(done))
        }
        Call::Delete(key) => {
            let result = state::delete(key).map_err(|error| error.name());
            answer(result.map(done))
        }
        Call::Count(key) => {
            let sum = state::increment(key, 1).map_err(|error| error.name());
            answer(sum.map(Value::from))
        }
        Call::Routers => {
            let all = routers::all().map_err(|error| error.name());
            answer(all.map(|all| all.iter().map(router).collect()))
        }
        Call::Pipe(pipe) => {
            let result = fifo::write(&pipe.path, &pipe.line);
            answer(result.map_err(|error| error.name()).map(done))
        }
        Call::Secret(name) => {
            let value = secrets::reveal(name).map_err(|error| error.name());
            answer(value.map(|value| json!(text(&value))))
        }
    }
}

fn router(router: &routers::RouterStatus) -> Value {
    json!({
        "name": router.name,
        "state": format!("{:?}", router.state),
        "active": router.active_router,
        "priority": router.effective_priority,
        "addresses": router.addresses,
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn answer(result: Result<Value, &'static str>) -> Value {
    match result {
        Ok(value) => json!({ "ok": value }),
        Err(error) => json!({ "error": error }),
    }
}
