#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# tests/setup/setup.sh: what it asks of apt and dpkg, and what it makes of their answers.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/shell/lib.sh
. "$here/lib.sh"

setup=$here/../setup/setup.sh
PATH=$scratch/bin:$PATH
stub id 'echo 0'
stub sleep 'exit 0'
stub dpkg 'exit 0'
stub apt-get 'exit 0'

begin "does nothing when nothing is missing"
stub dpkg-query 'echo installed'
expect_code 0 "$setup"
expect_not_called apt-get

begin "a package whose triggers wait is there"
stub dpkg-query 'echo triggers-pending'
expect_code 0 "$setup"
expect_not_called apt-get

begin "finishes what a killed installation left before it asks apt"
stub dpkg-query 'echo half-configured'
stub apt-get "grep -q 'dpkg --configure -a' '$scratch/calls'"
expect_code 0 "$setup" build
expect_called 'build-essential'
expect_not_called 'libgtest-dev'

begin "asks a bad mirror three times"
stub dpkg-query 'exit 1'
stub apt-get 'echo no answer; exit 100'
expect_code 1 "$setup" build
expect_said 'no answer'
expect_said 'attempt 3 of 3'

begin "says what is missing to one who is not root"
stub id 'echo 1000'
expect_code 1 "$setup" guest
expect_said 'missing: kmod linux-headers-amd64'
expect_not_called apt-get
