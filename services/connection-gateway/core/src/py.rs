//! The Python face: arguments in, named tuples out, the reactor's thread. No decision is taken here.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyTuple};
use rustls::server::ProducesTickets;

use crate::codec::{self, Packet};
use crate::conn::Mode;
use crate::figures::Inspected;
use crate::listener;
use crate::options::Options;
use crate::quota::Limits;
use crate::reactor::Reactor;
use crate::record::Sealed;
use crate::session::Policy;
use crate::shared::{
    Admission, Closed, Command, ConnectRequest, Downlink, Kept, LocalMessage, Shared, Subscription, lock,
};
use crate::tls;
use crate::topics::{Classes, Rule, Table};

const STOP_TIMEOUT: Duration = Duration::from_secs(5);

type RuleRow = (String, bool, bool, i32, String, bool, bool, u32);
type AcceptRow = (u64, String, String, i64, u32, bool, bool, Vec<String>, Vec<String>);
type DownlinkRow<'py> = (i64, u64, String, Bound<'py, PyBytes>, u8, bool, bool);
type LimitsRow = (bool, u32, u32, u32, u32, u32, bool);

#[pyclass(frozen, module = "thinghub_gateway_core")]
struct Core {
    shared: Arc<Shared>,
    reactor: Mutex<Option<Reactor>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    ticketer: Arc<dyn ProducesTickets>,
}

fn value_error(text: String) -> PyErr {
    PyValueError::new_err(text)
}

#[pymethods]
impl Core {
    #[new]
    fn new(options: &Bound<'_, PyDict>) -> PyResult<Core> {
        let mut parsed = Options::default();
        for (name, value) in options {
            match name.extract::<String>()?.as_str() {
                "origin" => parsed.origin = value.extract()?,
                name => parsed.set(name, value.extract()?).map_err(value_error)?,
            }
        }
        for required in ["origin", "worker_id"] {
            if !options.contains(required)? {
                return Err(value_error(format!("option {required} is required")));
            }
        }
        let reactor = Reactor::new(parsed)?;
        let ticketer = tls::ticketer().map_err(PyRuntimeError::new_err)?;
        Ok(Core { shared: reactor.shared(), reactor: Mutex::new(Some(reactor)), thread: Mutex::new(None), ticketer })
    }

    fn set_tls(&self, certificate_chain_pem: &[u8], key_pem: &[u8]) -> PyResult<()> {
        let config = tls::config(certificate_chain_pem, key_pem, self.ticketer.clone()).map_err(value_error)?;
        self.shared.command(Command::SetTls(config));
        Ok(())
    }

    fn set_streams(&self, partitions: Vec<u32>) -> PyResult<()> {
        if partitions.iter().any(|&count| count == 0 || count > crate::ids::SLOTS) {
            return Err(value_error("a stream has 1 to 16384 partitions".into()));
        }
        self.shared.command(Command::SetStreams(partitions));
        Ok(())
    }

    fn set_topic_table(&self, rules: Vec<RuleRow>) -> PyResult<()> {
        let rules = rules.into_iter().map(|(pattern, up, down, stream, category, auto, classes, ext)| Rule {
            pattern,
            up,
            down,
            stream,
            category,
            auto,
            classes,
            ext,
        });
        let table = Table::new(rules.collect()).map_err(value_error)?;
        self.shared.command(Command::SetTable(Arc::new(table)));
        Ok(())
    }

    fn set_product_policy(
        &self,
        product_key: &str,
        version: i64,
        classes: Vec<(String, bool, bool)>,
        limits: LimitsRow,
    ) -> PyResult<()> {
        let (enforce, up_qos0, up_qos1, down, bytes, subscriptions, drop_qos1) = limits;
        let policy = Arc::new(Policy {
            product_key: product_key.into(),
            product: self.shared.product(product_key),
            version,
            classes: Classes::new(&classes).map_err(value_error)?,
            limits: Limits { enforce, up_qos0, up_qos1, down, bytes, subscriptions, drop_qos1 },
        });
        // Under one lock with `accept`, so that no session starts with a policy that this one replaced.
        let mut policies = lock(&self.shared.policies);
        if policies.get(product_key).is_some_and(|held| held.version > version) {
            return Ok(());
        }
        policies.insert(product_key.to_owned(), policy.clone());
        self.shared.command(Command::SetPolicy(policy));
        Ok(())
    }

    fn has_product_policy(&self, product_key: &str) -> i64 {
        lock(&self.shared.policies).get(product_key).map_or(0, |policy| policy.version)
    }

    fn drop_product_policy(&self, product_key: &str) {
        lock(&self.shared.policies).remove(product_key);
    }

    fn listen(&self, py: Python<'_>, host: &str, port: u16, tls: &str) -> PyResult<u16> {
        let mode = match tls {
            "sniff" => Mode::Sniff,
            "always" => Mode::Always,
            "never" => Mode::Never,
            _ => return Err(value_error(format!("tls is `{tls}`, not sniff, always or never"))),
        };
        let listener = py.detach(|| listener::bind(host, port))?;
        let port = listener.local_addr()?.port();
        self.shared.command(Command::Listen(listener, mode));
        Ok(port)
    }

    fn start(&self) -> PyResult<()> {
        let reactor = lock(&self.reactor).take();
        let reactor = reactor.ok_or_else(|| PyRuntimeError::new_err("a core starts once"))?;
        let thread = std::thread::Builder::new().name("gateway-core".into()).spawn(move || reactor.run());
        *lock(&self.thread) = Some(thread.map_err(PyOSError::new_err)?);
        Ok(())
    }

    fn stop_listening(&self) {
        self.shared.command(Command::StopListening);
    }

    fn stop(&self, py: Python<'_>) {
        drop(lock(&self.reactor).take());
        let thread = lock(&self.thread).take();
        self.shared.command(Command::Stop);
        py.detach(|| {
            let until = Instant::now() + STOP_TIMEOUT;
            let Some(thread) = thread else { return };
            while !thread.is_finished() && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(1));
            }
            if thread.is_finished() {
                let _ = thread.join();
            }
        });
    }

    fn event_fd(&self) -> i32 {
        self.shared.event_fd()
    }

    fn poll<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let results = self.shared.poll();
        let names = Names::get(py)?;
        let connects = each(results.connects, |request| names.connect(py, request))?;
        let closed = each(results.closed, |closed| names.closed(py, closed))?;
        let records = each(results.records, |record| names.record(py, record))?;
        let local = each(results.local, |message| names.local(py, message))?;
        let delivered = each(results.delivered, |answer| names.make(py, &names.delivered, answer))?;
        let inspected = each(results.inspected, |figures| names.inspected(py, figures))?;
        let changed = each(results.subscriptions, |change| names.subscription(py, change))?;
        let batch = (connects, results.dropped, closed, results.flushed, records, local, delivered, inspected, changed);
        names.make(py, &names.batch, batch)
    }

    fn accept(&self, sessions: Vec<AcceptRow>) -> Vec<u64> {
        let admissions = sessions.into_iter().map(|row| {
            let (connection, product_key, device_name, epoch, ext, clean, session_present, subscriptions, stopped) =
                row;
            let kept = (!clean).then_some(Kept { subscriptions, stopped });
            Admission { connection, product_key, device_name, epoch, ext, session_present, kept }
        });
        self.shared.accept(admissions.collect())
    }

    fn attach(&self, sessions: Vec<(u64, String, String, i64, u32)>) -> Vec<u64> {
        self.shared.attach(sessions)
    }

    fn reject(&self, refusals: Vec<(u64, u8, String)>) {
        self.shared.command(Command::Reject(refusals));
    }

    fn close(&self, handles: Vec<(u64, String)>) {
        self.shared.command(Command::Close(handles));
    }

    fn deliver(&self, messages: Vec<DownlinkRow<'_>>) {
        let messages = messages.into_iter().map(|(token, handle, topic, payload, qos, must_subscribe, dup)| Downlink {
            token,
            handle,
            topic,
            payload: payload.as_bytes().to_vec(),
            qos,
            must_subscribe,
            dup,
        });
        self.shared.command(Command::Deliver(messages.collect()));
    }

    fn confirm_subscriptions(&self, tokens: Vec<u64>) {
        self.shared.command(Command::ConfirmSubscriptions(tokens));
    }

    fn fail_subscriptions(&self, tokens: Vec<u64>) {
        self.shared.command(Command::FailSubscriptions(tokens));
    }

    fn commit(&self, record_ids: Vec<u64>) {
        self.shared.command(Command::Commit(record_ids));
    }

    fn fail(&self, record_ids: Vec<u64>) {
        self.shared.command(Command::Fail(record_ids));
    }

    fn inspect(&self, handles: Vec<u64>) {
        self.shared.command(Command::Inspect(handles));
    }

    fn counters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let counters = PyDict::new(py);
        for (name, value) in self.shared.counters.snapshot() {
            counters.set_item(name, value)?;
        }
        let shared = &self.shared;
        let gauges = [
            ("running", &shared.running),
            ("connections", &shared.connections),
            ("sessions", &shared.sessions),
            ("sub_sessions", &shared.sub_sessions),
            ("records_outstanding", &shared.records_outstanding),
            ("inflight_bytes", &shared.inflight_bytes),
            ("local_waiting", &shared.local_waiting),
        ];
        for (name, gauge) in gauges {
            counters.set_item(name, gauge.load(Ordering::Relaxed))?;
        }
        counters.set_item("buffered_bytes", shared.buffered_bytes())?;
        Ok(counters)
    }

    fn sessions(&self) -> usize {
        self.shared.sessions.load(Ordering::Relaxed)
    }

    fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        self.shared.command(Command::Stop);
    }
}

fn each<'py, T>(values: Vec<T>, make: impl Fn(T) -> PyResult<Bound<'py, PyAny>>) -> PyResult<Vec<Bound<'py, PyAny>>> {
    values.into_iter().map(make).collect()
}

/// The named tuples, which are Python's own (`__init__.py`).
struct Names {
    new: Py<PyAny>,
    connect: Py<PyAny>,
    closed: Py<PyAny>,
    sample: Py<PyAny>,
    record: Py<PyAny>,
    local: Py<PyAny>,
    delivered: Py<PyAny>,
    figures: Py<PyAny>,
    subscription: Py<PyAny>,
    batch: Py<PyAny>,
}

static NAMES: PyOnceLock<Names> = PyOnceLock::new();

impl Names {
    fn get(py: Python<'_>) -> PyResult<&Names> {
        NAMES.get_or_try_init(py, || {
            let module = py.import("thinghub_gateway_core")?;
            let class = |name: &str| module.getattr(name).map(Bound::unbind);
            Ok(Names {
                new: py.get_type::<PyTuple>().getattr("__new__")?.unbind(),
                connect: class("ConnectRequest")?,
                closed: class("Closed")?,
                sample: class("Sample")?,
                record: class("Record")?,
                local: class("LocalMessage")?,
                delivered: class("Delivered")?,
                figures: class("Figures")?,
                subscription: class("Subscription")?,
                batch: class("Batch")?,
            })
        })
    }

    /// `class._make(fields)` without the Python frames in between.
    fn make<'py, F>(&self, py: Python<'py>, class: &Py<PyAny>, fields: F) -> PyResult<Bound<'py, PyAny>>
    where
        F: IntoPyObject<'py, Target = PyTuple, Output = Bound<'py, PyTuple>, Error = PyErr>,
    {
        self.new.bind(py).call1((class, fields.into_pyobject(py)?))
    }

    fn connect<'py>(&self, py: Python<'py>, request: ConnectRequest) -> PyResult<Bound<'py, PyAny>> {
        let ConnectRequest { connection, client_id, username, password, keep_alive_s, clean, address, tls } = request;
        self.make(py, &self.connect, (connection, client_id, username, password, keep_alive_s, clean, address, tls))
    }

    fn closed<'py>(&self, py: Python<'py>, closed: Closed) -> PyResult<Bound<'py, PyAny>> {
        let Closed { handle, product_key, device_name, epoch, reason } = closed;
        self.make(py, &self.closed, (handle, &*product_key, &*device_name, epoch, reason))
    }

    fn record<'py>(&self, py: Python<'py>, record: Sealed) -> PyResult<Bound<'py, PyAny>> {
        let samples = each(record.samples, |sample| {
            self.make(py, &self.sample, (sample.message_id, sample.traceparent, sample.received_ms, sample.topic))
        })?;
        let value = PyBytes::new(py, &record.value);
        let fields = (record.key.number(), record.stream, record.partition, value, record.messages, samples);
        self.make(py, &self.record, fields)
    }

    fn local<'py>(&self, py: Python<'py>, message: LocalMessage) -> PyResult<Bound<'py, PyAny>> {
        let payload = PyBytes::new(py, &message.payload);
        let LocalMessage { handle, product_key, device_name, epoch, category, topic, qos, received_ms, .. } = message;
        let fields = (handle, &*product_key, &*device_name, epoch, category, topic, payload, qos, received_ms);
        self.make(py, &self.local, fields)
    }

    fn subscription<'py>(&self, py: Python<'py>, changed: Subscription) -> PyResult<Bound<'py, PyAny>> {
        let Subscription { token, handle, change } = changed;
        let fields = (token, handle, change.added, change.removed, change.stopped, change.resumed);
        self.make(py, &self.subscription, fields)
    }

    fn inspected<'py>(&self, py: Python<'py>, inspected: Inspected) -> PyResult<Bound<'py, PyAny>> {
        let Inspected { handle, found, figures, in_flight, queued, subscriptions, .. } = inspected;
        let Inspected { keep_alive_s, last_packet_ms_ago, out_buffer, .. } = inspected;
        let fields = [
            handle.into_pyobject(py)?.into_any(),
            found.into_pyobject(py)?.to_owned().into_any(),
            figures.messages_up.into_pyobject(py)?.into_any(),
            figures.messages_down.into_pyobject(py)?.into_any(),
            figures.refused_permission.into_pyobject(py)?.into_any(),
            figures.refused_quota.into_pyobject(py)?.into_any(),
            figures.quota_delays.into_pyobject(py)?.into_any(),
            in_flight.into_pyobject(py)?.into_any(),
            queued.into_pyobject(py)?.into_any(),
            subscriptions.into_pyobject(py)?.into_any(),
            keep_alive_s.into_pyobject(py)?.into_any(),
            last_packet_ms_ago.into_pyobject(py)?.into_any(),
            out_buffer.into_pyobject(py)?.into_any(),
        ];
        self.new.bind(py).call1((&self.figures, PyTuple::new(py, fields)?))
    }
}

/// Decodes a whole buffer of packets: (kind, fields) each.
#[pyfunction]
#[pyo3(signature = (data, max_packet_bytes = 262_144))]
fn codec_decode<'py>(
    py: Python<'py>,
    data: &[u8],
    max_packet_bytes: usize,
) -> PyResult<Vec<(&'static str, Bound<'py, PyDict>)>> {
    let mut rest = data;
    let mut packets = Vec::new();
    let malformed = |fault: codec::Malformed| value_error(fault.reason().into());
    while !rest.is_empty() {
        let header = codec::header(rest).map_err(malformed)?.ok_or_else(|| value_error("truncated".into()))?;
        if header.remaining > max_packet_bytes {
            return Err(value_error("too_large".into()));
        }
        let end = header.size + header.remaining;
        let body = rest.get(header.size..end).ok_or_else(|| value_error("truncated".into()))?;
        packets.push(describe(py, codec::decode(header, body).map_err(malformed)?)?);
        rest = &rest[end..];
    }
    Ok(packets)
}

fn describe<'py>(py: Python<'py>, packet: Packet<'_>) -> PyResult<(&'static str, Bound<'py, PyDict>)> {
    let fields = PyDict::new(py);
    let name = match packet {
        Packet::Connect(connect) => {
            fields.set_item("level", connect.level)?;
            fields.set_item("clean", connect.clean)?;
            fields.set_item("keep_alive_s", connect.keep_alive_s)?;
            fields.set_item("client_id", connect.client_id)?;
            fields.set_item("username", connect.username)?;
            fields.set_item("password", PyBytes::new(py, connect.password))?;
            "connect"
        }
        Packet::ConnAck { session_present, code } => {
            fields.set_item("session_present", session_present)?;
            fields.set_item("code", code)?;
            "connack"
        }
        Packet::Publish(publish) => {
            fields.set_item("dup", publish.dup)?;
            fields.set_item("qos", publish.qos)?;
            fields.set_item("retain", publish.retain)?;
            fields.set_item("topic", publish.topic)?;
            fields.set_item("packet_id", publish.packet_id)?;
            fields.set_item("payload", PyBytes::new(py, publish.payload))?;
            "publish"
        }
        Packet::Id { kind, packet_id } => {
            fields.set_item("packet_id", packet_id)?;
            match kind {
                codec::PUBACK => "puback",
                5 => "pubrec",
                6 => "pubrel",
                7 => "pubcomp",
                _ => "unsuback",
            }
        }
        Packet::Subscribe { packet_id, filters } => {
            fields.set_item("packet_id", packet_id)?;
            fields.set_item("filters", filters.collect::<Vec<_>>())?;
            "subscribe"
        }
        Packet::SubAck { packet_id, codes } => {
            fields.set_item("packet_id", packet_id)?;
            fields.set_item("codes", codes.iter().map(|&code| u16::from(code)).collect::<Vec<_>>())?;
            "suback"
        }
        Packet::Unsubscribe { packet_id, filters } => {
            fields.set_item("packet_id", packet_id)?;
            fields.set_item("filters", filters.map(|(filter, _)| filter).collect::<Vec<_>>())?;
            "unsubscribe"
        }
        Packet::Bare { kind: codec::PINGREQ } => "pingreq",
        Packet::Bare { kind: codec::PINGRESP } => "pingresp",
        Packet::Bare { .. } => "disconnect",
    };
    Ok((name, fields))
}

#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Core>()?;
    module.add_function(wrap_pyfunction!(codec_decode, module)?)
}
