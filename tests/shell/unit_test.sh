#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# unit_test.sh UNIT: systemd takes hadumpd's unit without a complaint, and it neither hides a domain's
# files nor ends what belongs to a domain.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/shell/lib.sh
. "$here/lib.sh"
unit=$1
expect_line() { grep -qE "$1" "$unit" || fail "no line $1"; }
expect_no_line() { ! grep -qE "$1" "$unit" || fail "a line $1"; }

begin "no unit that Debian does not have is required"
expect_no_line '^(Requires|Requisite|BindsTo)='
expect_line '^Wants=.*\bxen\.service\b'
expect_line '^After=.*\bxen\.service\b'

begin "kernels and disk images can be anywhere"
expect_no_line '^(PrivateTmp|InaccessiblePaths|ProtectHome=(yes|tmpfs)|ProtectSystem=strict)'

begin "systemd never gives up, and ends a hadumpd whose loop hangs"
expect_line '^StartLimitIntervalSec=0$'
expect_line '^WatchdogSec=[0-9]+$'

begin "a wrong configuration is not tried again every second"
expect_line '^RestartPreventExitStatus=2$'

begin "a domain's processes outlive hadumpd"
expect_line '^KillMode=process$'

begin "systemd has no complaint"
command -v systemd-analyze >/dev/null || fail "systemd-analyze is not installed"
# The program and the manual page are not installed here.
sed -e 's|^ExecStart=.*|ExecStart=/bin/true|' -e '/^Documentation=/d' "$unit" >"$scratch/hadumpd.service"
expect_code 0 systemd-analyze verify "$scratch/hadumpd.service"
[ ! -s "$scratch/output" ] || fail "a complaint"

begin "it is confined"
systemd-analyze security --offline=yes --threshold=40 --no-pager "$unit" >"$scratch/output" ||
  fail "more exposed than 4.0: $(tail -n 1 "$scratch/output")"
