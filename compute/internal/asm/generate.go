package asm

//go:generate go -C ../../../tools run ./asmgen ../compute/internal/asm
