/* SPDX-License-Identifier: GPL-3.0-or-later */
/* format.h - amounts and times as people read them: core/format.h. */
#include "core/format.h"
