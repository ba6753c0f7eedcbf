//! keepalived's words, for those who bring them along: what stands in their place here.

/// What to write instead of a key that keepalived has and Mainstay has not.
pub(super) fn in_place_of(key: &str) -> Option<String> {
    let advice = match key {
        "vrrp_instance" => "write [[router]], with the name in `name`",
        "virtual_router_id" => "write id",
        "virtual_ipaddress" => "write addresses = [\"192.168.1.100/24\"]",
        "advert_int" => "write advert-interval, with a unit: \"1s\"",
        "vrrp_version" => "write version",
        "authentication" | "auth_type" | "auth_pass" => {
            "write auth = { type = \"pass\", password = \"1234\" }, with version = 2"
        }
        "state" => "leave it out: each router starts as backup, and priority decides",
        "nopreempt" => "write preempt = false",
        "router_id" => "write node, at the top of the file",
        "vrrp_script" => {
            "write [[check]]: checks are WebAssembly plugins, such as plugin = \"process\", not scripts"
        }
        "script" => {
            "checks and hooks are WebAssembly plugins, such as plugin = \"process\", not scripts"
        }
        "init_fail" => "leave it out, or write initial: a check is \"unhealthy\" until it has run",
        "vrrp_track_process" | "track_process" => {
            "write [[check]] with plugin = \"process\", and track = [{ check = \"…\" }]"
        }
        "track_script" => "write track = [{ check = \"…\", weight = -20 }]",
        "track_interface" => {
            "leave it out for the router's own interface, which always counts; others cannot be tracked"
        }
        "notify" | "notify_master" | "notify_backup" | "notify_fault" | "notify_stop" => {
            "write [[hook]]: hooks are WebAssembly plugins, such as plugin = \"log\", not scripts"
        }
        "garp_master_delay" | "vrrp_garp_master_delay" => "write announce = { delay = \"5s\" }",
        "garp_master_repeat" | "vrrp_garp_master_repeat" => "write announce = { repeat = 5 }",
        "global_defs"
        | "vrrp_sync_group"
        | "virtual_ipaddress_excluded"
        | "virtual_routes"
        | "virtual_rules"
        | "virtual_server"
        | "real_server"
        | "unicast_src_ip"
        | "unicast_peer"
        | "mcast_src_ip"
        | "use_vmac"
        | "preempt_delay"
        | "track_file"
        | "track_bfd"
        | "bfd_instance"
        | "accept"
        | "no_accept"
        | "garp_master_refresh"
        | "garp_master_refresh_repeat"
        | "garp_lower_prio_repeat"
        | "garp_lower_prio_delay"
        | "notification_email"
        | "smtp_alert"
        | "smtp_server" => "leave it out: Mainstay has nothing in its place",
        _ => return None,
    };
    Some(format!("this is keepalived's; {advice}"))
}
