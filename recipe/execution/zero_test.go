package execution

import (
	"github.com/temper-ml/temper/eval"
	"github.com/temper-ml/temper/train"
)

var train0 train.Times

func orZero(l *eval.Loss) *eval.Loss {
	if l == nil {
		return &eval.Loss{}
	}
	return l
}
