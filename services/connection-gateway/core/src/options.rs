//! Settings of a core, with their defaults; the Python interface names them (`Options` in `__init__.pyi`).

#[derive(Clone, Debug)]
pub struct Options {
    pub origin: String,
    pub worker_id: u16,
    pub record_max_messages: usize,
    pub record_max_bytes: usize,
    pub record_linger_us: u64,
    pub partition_max_inflight_bytes: usize,
    pub record_timeout_us: u64,
    pub connect_timeout_us: u64,
    pub accept_timeout_us: u64,
    /// A packet that began must end within this.
    pub packet_timeout_us: u64,
    pub max_packet_bytes: usize,
    pub max_stream_bytes: usize,
    pub keep_alive_min_s: u16,
    pub keep_alive_max_s: u16,
    pub max_out_buffer_bytes: usize,
    pub max_connections: usize,
    pub max_sub_sessions: usize,
    pub delivery_timeout_us: u64,
    pub max_inflight_down: usize,
    pub max_local_queue: usize,
    /// Bytes of partial packets larger than one read, over all connections.
    pub max_partial_bytes: usize,
    /// Bytes of traffic in memory above which no CONNECT is accepted and slow readers are closed; 0: any.
    pub refuse_above_bytes: usize,
    pub trace_every: u32,
    /// How long a refused peer may take to read why.
    pub drain_us: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            origin: String::new(),
            worker_id: 0,
            record_max_messages: 500,
            record_max_bytes: 512 * 1024,
            record_linger_us: 5_000,
            partition_max_inflight_bytes: 16 << 20,
            record_timeout_us: 30_000_000,
            connect_timeout_us: 10_000_000,
            accept_timeout_us: 5_000_000,
            packet_timeout_us: 30_000_000,
            max_packet_bytes: 256 * 1024,
            max_stream_bytes: 1 << 20,
            keep_alive_min_s: 30,
            keep_alive_max_s: 1200,
            max_out_buffer_bytes: 1 << 20,
            max_connections: 18_000,
            max_sub_sessions: 100_000,
            delivery_timeout_us: 10_000_000,
            max_inflight_down: 100,
            max_local_queue: 10_000,
            max_partial_bytes: 256 << 20,
            refuse_above_bytes: 0,
            trace_every: 0,
            drain_us: 1_000_000,
        }
    }
}

impl Options {
    /// Sets an option by its Python name, in that name's unit. Errors say what is wrong with it.
    pub fn set(&mut self, name: &str, value: u64) -> Result<(), String> {
        let micros = || value.checked_mul(1000).ok_or(format!("{name} is too large"));
        let small = || u16::try_from(value).map_err(|_| format!("{name} is above 65535"));
        match name {
            "worker_id" if value < 1024 => self.worker_id = value as u16,
            "worker_id" => return Err("worker_id is not in 0..1023".into()),
            "record_max_messages" => self.record_max_messages = (value as usize).max(1),
            "record_max_bytes" => self.record_max_bytes = (value as usize).max(1024),
            "record_linger_ms" => self.record_linger_us = micros()?,
            "partition_max_inflight_bytes" => self.partition_max_inflight_bytes = value as usize,
            "record_timeout_ms" => self.record_timeout_us = micros()?,
            "connect_timeout_ms" => self.connect_timeout_us = micros()?,
            "accept_timeout_ms" => self.accept_timeout_us = micros()?,
            "packet_timeout_ms" => self.packet_timeout_us = micros()?,
            "max_packet_bytes" => self.max_packet_bytes = value as usize,
            "max_stream_bytes" => self.max_stream_bytes = value as usize,
            "keep_alive_min_s" => self.keep_alive_min_s = small()?,
            "keep_alive_max_s" => self.keep_alive_max_s = small()?,
            "max_out_buffer_bytes" => self.max_out_buffer_bytes = value as usize,
            "max_connections" => self.max_connections = value as usize,
            "max_sub_sessions" => self.max_sub_sessions = value as usize,
            "delivery_timeout_ms" => self.delivery_timeout_us = micros()?,
            "max_inflight_down" => self.max_inflight_down = (value as usize).clamp(1, 10_000),
            "max_local_queue" => self.max_local_queue = value as usize,
            "refuse_above_bytes" => self.refuse_above_bytes = value as usize,
            "max_partial_bytes" => self.max_partial_bytes = value as usize,
            "trace_every" => self.trace_every = value.min(u64::from(u32::MAX)) as u32,
            _ => return Err(format!("unknown option {name}")),
        }
        Ok(())
    }
}
