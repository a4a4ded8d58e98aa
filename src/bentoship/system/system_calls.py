"""A filter of the system calls that programs of others may make, by libseccomp; Linux's seccomp runs it."""

import ctypes
import tempfile

_EPERM, _ENOSYS = 0x00050000 | 1, 0x00050000 | 38
_ALLOW = 0x7FFF0000
"""Actions of a rule (seccomp.h: SCMP_ACT_ERRNO, SCMP_ACT_ALLOW)."""

_EQUAL, _GREATER, _MASKED_EQUAL = 4, 6, 7
"""Comparisons of an argument (seccomp.h: enum scmp_compare)."""

# What Docker denies to programs without capabilities (moby, profiles/seccomp/default.json), and ptrace.
_DENIED = """
    _sysctl acct add_key bpf chroot clock_adjtime clock_adjtime64 clock_settime clock_settime64 create_module
    delete_module fanotify_init finit_module fsconfig fsmount fsopen fspick get_kernel_syms get_mempolicy init_module
    io_uring_enter io_uring_register io_uring_setup ioperm iopl kcmp kexec_file_load kexec_load keyctl lookup_dcookie
    mbind mount mount_setattr move_mount move_pages nfsservctl open_by_handle_at open_tree perf_event_open pidfd_getfd
    pivot_root process_vm_readv process_vm_writev ptrace query_module quotactl quotactl_fd reboot request_key
    set_mempolicy setdomainname sethostname setns settimeofday stime swapoff swapon syslog umount umount2 unshare
    uselib userfaultfd ustat vhangup vm86 vm86old
"""

_NAMESPACES = (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000)
"""The flags of clone that make namespaces (linux/sched.h)."""

_TERMINALS = (0x5412, 0x541C)
"""Requests that type into a terminal (TIOCSTI, TIOCLINUX)."""

_FAMILIES = (1, 2, 10, 16)
"""Kinds of sockets that are allowed: Unix, IPv4, IPv6, netlink. Those of virtual machines reach out of a namespace."""


class _Comparison(ctypes.Structure):
    """A condition on an argument of a system call (struct scmp_arg_cmp)."""

    _fields_ = (("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64))


def deny_list() -> bytes:
    """Return a filter for the processor of this machine, as the kernel takes it; empty without libseccomp."""
    try:
        library = ctypes.CDLL("libseccomp.so.2")
    except OSError:
        return b""
    library.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(_ALLOW)))

    def deny(name: str, *conditions: _Comparison, action: int = _EPERM) -> None:
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number != -1:  # else the library is older than the call
            array = (_Comparison * len(conditions))(*conditions)
            library.seccomp_rule_add_array(context, ctypes.c_uint32(action), number, len(conditions), array)

    try:
        for name in _DENIED.split():
            deny(name)
        for flag in _NAMESPACES:
            deny("clone", _Comparison(0, _MASKED_EQUAL, flag, flag))
        deny("clone3", action=_ENOSYS)  # its flags lie in memory; the C library uses clone then
        for family in set(range(max(_FAMILIES))) - set(_FAMILIES):
            deny("socket", _Comparison(0, _EQUAL, family))
        deny("socket", _Comparison(0, _GREATER, max(_FAMILIES)))
        for request in _TERMINALS:
            deny("ioctl", _Comparison(1, _MASKED_EQUAL, 0xFFFFFFFF, request))
        with tempfile.TemporaryFile() as file:
            failed = library.seccomp_export_bpf(context, file.fileno())
            file.seek(0)
            return b"" if failed else file.read()
    finally:
        library.seccomp_release(context)
